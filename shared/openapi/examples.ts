/** Who and what the examples are about; the org and the model are those that are seeded. */
export const exampleIds = {
  org: '00000000-0000-0000-0000-000000000001',
  model: '00000000-0000-0000-0000-0000000000a1',
  event: '7b0c3bd6-52f5-4c3e-9a3e-5f3f4f3c0a01',
  job: '3f0a5c1e-8d0b-4b9c-8c55-0d1f6f6f2a10',
} as const;

/** A window worth trying. */
export const exampleWeek = { start: '2026-11-16T00:00:00Z', end: '2026-11-23T00:00:00Z' } as const;

export const exampleFreshness = {
  status: 'fresh',
  lagSeconds: 0,
  lastEventAt: '2026-11-22T18:56:21.476Z',
  lastRollupAt: '2026-11-22T19:52:17.375Z',
  completeThrough: '2026-11-22T20:01:01.260Z',
} as const;

export const exampleSums = {
  invocations: 4607,
  errors: 176,
  inputTokens: 4925500,
  outputTokens: 1427458,
  costEstimateCents: 1689.8797,
} as const;
