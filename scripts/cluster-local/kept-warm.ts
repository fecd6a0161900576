import type { Manifests } from './manifests.ts';
import { scheduleOf } from './ping-source.ts';

/**
 * The Services that always have a pod: by their `min-scale`, or as a PingSource asks them no less
 * often than they may be idle.
 */
export function keptWarm({ services, pingSources }: Manifests): string[] {
  return services
    .filter(({ metadata: { name }, spec: { template } }) => {
      const { minScale, idleMs } = template.metadata.annotations;
      const sources = pingSources.filter(({ spec: { sink } }) => sink.ref.name === name);
      return minScale > 0 || sources.some((source) => isSteady(scheduleOf(source), idleMs));
    })
    .map(({ metadata }) => metadata.name);
}

/** Looks into each hour of the next day: a schedule may pause at night. */
function isSteady(next: (afterMs: number) => number | null, gapMaxMs: number): boolean {
  const nowMs = Date.now();
  return Array.from({ length: 24 }, (_, hour) => nowMs + hour * 3_600_000).every((fromMs) => {
    const first = next(fromMs);
    const second = first === null ? null : next(first);
    return (
      first !== null && second !== null && Math.max(first - fromMs, second - first) <= gapMaxMs
    );
  });
}
