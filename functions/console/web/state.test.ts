import fc from 'fast-check';
import { expect, test } from 'vitest';
import { granularities } from '../../../shared/queries/time-window.ts';
import { presets } from './range.ts';
import {
  breakdowns,
  type ConsoleState,
  metrics,
  percentiles,
  readState,
  views,
  writeState,
} from './state.ts';

const instant = fc.integer({ min: 1_600_000_000, max: 1_900_000_000 }).map((s) => s * 1_000);
const range = fc.oneof(
  fc.constantFrom(...presets).map((preset) => ({ preset })),
  fc
    .tuple(instant, fc.integer({ min: 1, max: 400 * 86_400 }))
    .map(([startMs, seconds]) => ({ startMs, endMs: startMs + seconds * 1_000 })),
);
const state: fc.Arbitrary<ConsoleState> = fc.record({
  view: fc.constantFrom(...views),
  org: fc.option(fc.uuid()),
  range,
  granularity: fc.constantFrom('auto', ...granularities),
  timeZone: fc.constantFrom('UTC', 'Europe/Berlin', 'Asia/Kathmandu', 'America/St_Johns'),
  models: fc.uniqueArray(fc.uuid(), { maxLength: 5 }),
  clients: fc.uniqueArray(fc.string(), { maxLength: 5 }),
  metric: fc.constantFrom(...metrics),
  by: fc.constantFrom(...breakdowns),
  percentile: fc.constantFrom(...percentiles),
  compare: fc.boolean(),
  isAllOrgs: fc.boolean(),
});

test('an address gives back the view that it was made from', () => {
  fc.assert(
    fc.property(state, (given) => {
      expect(readState(writeState(given), 'Pacific/Auckland')).toEqual(given);
    }),
  );
});

test.each([
  '',
  '?view=nothing&metric=x&granularity=week&by=&percentile=p42',
  '?start=yesterday&end=2026-01-01T00:00:00Z',
  '?start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z',
  '?timezone=Mars/Olympus&range=1000d',
  '?org=../../../metrics?',
  '?org=00000000-0000-4000-8000-00000000000a/../../../metrics',
  '?org=%0A00000000-0000-4000-8000-00000000000a',
])('%s is read as the usual view', (search) => {
  expect(readState(search, 'Europe/Berlin')).toEqual({
    view: 'usage',
    org: null,
    range: { preset: '7d' },
    granularity: 'auto',
    timeZone: 'Europe/Berlin',
    models: [],
    clients: [],
    metric: 'cost',
    by: 'model',
    percentile: 'all',
    compare: true,
    isAllOrgs: false,
  });
});

test('an org is a uuid, in whatever case it is written', () => {
  const { org } = readState('?org=00000000-0000-4000-8000-00000000000A', 'UTC');
  expect(org).toBe('00000000-0000-4000-8000-00000000000a');
});

test('neither a token nor an actor can get into an address', () => {
  const parameters = new URLSearchParams(writeState(readState('?token=x&actor=y', 'UTC')));
  expect([...parameters.keys()]).toEqual(['timezone']);
});
