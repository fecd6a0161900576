import { isThere, startNativeTimescale } from './native-timescale.ts';
import { startTimescale, type Timescale } from './timescale.ts';

type License = 'timescale' | 'apache';
type Row = [name: string, license: License, start: () => Promise<Timescale>];

const licenses: License[] = ['timescale', 'apache'];

function rows(name: string, start: (license: License) => Promise<Timescale>): Row[] {
  return licenses.map((license) => [
    `${name} under the ${license} licence`,
    license,
    () => start(license),
  ]);
}

/** Every TimescaleDB that a test can have here: the one in WebAssembly always, a native one where it is. */
export const timescaleServers: Row[] = [
  ...rows('TimescaleDB', (license) => startTimescale({ license })),
  ...rows('native TimescaleDB', (license) => startNativeTimescale({ license })).filter(
    ([, license]) => (license === 'timescale' ? isThere.timescale : isThere.ownServer),
  ),
];
