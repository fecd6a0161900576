import { within } from '../../shared/platform/deadline.ts';
import type { OnEvent } from './cluster-event.ts';
import type { Job } from './manifests.ts';
import type { Pod } from './pod.ts';

/**
 * Runs a job's pod to its end, again when it fails, at once rather than after a while.
 *
 * @throws Error when it fails more often than its `backoffLimit`, or takes too long.
 */
export async function runJob(
  { metadata: { name }, spec }: Job,
  startPod: () => Promise<Pod>,
  onEvent: OnEvent,
): Promise<void> {
  const deadlineMs = (spec.activeDeadlineSeconds ?? 900) * 1_000;
  for (let failures = 0; ; failures += 1) {
    const pod = await startPod();
    const tell = (phase: 'starting' | 'stopped' | 'ended', detail: string) =>
      onEvent({ kind: 'pod', workload: name, pod: pod.name, phase, detail });
    tell('starting', '');
    const end = await within(deadlineMs, pod.ended, `Job ${name} takes too long`).catch(
      async (error: unknown) => {
        await pod.stop();
        throw error;
      },
    );
    tell(end === 0 ? 'stopped' : 'ended', String(end));
    if (end === 0) return;
    if (failures >= spec.backoffLimit) {
      throw new Error(`Job ${name} failed (${end}): ${pod.lastWords.join(' | ')}`);
    }
  }
}
