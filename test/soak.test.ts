import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundleFunction } from '../scripts/build.ts';
import { runSoak, type SoakResult } from '../scripts/soak/run.ts';
import { services } from './support/services.ts';

const names = ['consumer', 'refresh', 'status'] as const;
const batchSize = 1_000;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'analytics-soak-'));
  for (const name of names) await bundleFunction(name, join(folder, name));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Everything waits in the stream before the consumer starts. */
function drainBacklog(seconds: number): Promise<SoakResult> {
  return runSoak({
    rate: 15_000,
    seconds,
    batchSize,
    env: services(),
    servers: {},
    bundleOf: (name) => [join(folder, name, 'index.cjs')],
    isBacklog: true,
    say: () => {},
  });
}

function consumerOf({ memory }: SoakResult): { peakMb: number; limitMb: number } {
  const { peakMb = Number.NaN, limitMb } = memory.find(({ name }) => name === 'consumer') ?? {};
  return { peakMb, limitMb: limitMb ?? Number.NaN };
}

test('a backlog twice as long is stored exactly once in the same memory', {
  timeout: 300_000,
}, async () => {
  const peaks: number[] = [];
  for (const seconds of [4, 8]) {
    const soak = await drainBacklog(seconds);
    expect(soak.faults).toEqual([]);
    expect(soak.offered.confirmed).toBe(soak.offered.sent);
    expect(soak.stored).toBe(soak.offered.sent);
    expect(soak.lagMax).toBeGreaterThan(soak.offered.sent / 2);
    const { peakMb, limitMb } = consumerOf(soak);
    expect(peakMb).toBeLessThan(limitMb);
    peaks.push(peakMb);
  }
  // Held in memory, each message of the longer one would take some 3 KB: 180 MB more.
  const [short = 0, long = 0] = peaks;
  expect(long - short).toBeLessThan(50);
});
