import { expect, test } from 'vitest';
import type { ClusterEvent } from './cluster-event.ts';
import { runJob } from './job.ts';
import { job } from './manifests.ts';
import type { Pod } from './pod.ts';

/** Runs a job whose pods end with these codes in turn. */
async function run(codes: readonly number[], backoffLimit = 2) {
  const events: ClusterEvent[] = [];
  let started = 0;
  const startPod = async (): Promise<Pod> => {
    const code = codes[started] ?? 0;
    started += 1;
    return {
      name: `bootstrap-${started}`,
      port: 1,
      startedMs: 0,
      ready: Promise.resolve(),
      ended: Promise.resolve(code),
      lastWords: ['DATABASE_URL: refused'],
      stop: async () => {},
    };
  };
  const made = job.parse({
    metadata: { name: 'bootstrap' },
    spec: { backoffLimit, template: { spec: { containers: [{ image: 'bootstrap' }] } } },
  });
  await runJob(made, startPod, (event) => events.push(event));
  return events.map((event) => (event.kind === 'pod' ? `${event.pod} ${event.phase}` : ''));
}

test('a job runs to its end', async () => {
  expect(await run([0])).toEqual(['bootstrap-1 starting', 'bootstrap-1 stopped']);
});

test('one that fails is run again, as often as its limit says', async () => {
  expect(await run([1, 1, 0])).toEqual([
    'bootstrap-1 starting',
    'bootstrap-1 ended',
    'bootstrap-2 starting',
    'bootstrap-2 ended',
    'bootstrap-3 starting',
    'bootstrap-3 stopped',
  ]);
  await expect(run([1, 1, 1, 0])).rejects.toThrow(
    'Job bootstrap failed (1): DATABASE_URL: refused',
  );
});
