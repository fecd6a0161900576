import type { ScaledObject } from './manifests.ts';

/** What a scaler's query found: its number, or why there is none. */
export type Reading = { value: number } | { fault: string };

/** Kubernetes scales down to the highest count that it wanted lately. */
const stabilizationMs = 300_000;

/**
 * How many replicas KEDA and its autoscaler want, reading by reading. KEDA itself only goes between
 * zero and one, by whether the value is above the activation's; the count of more is the
 * autoscaler's.
 *
 * @returns the count after a reading, given the count before it
 */
export function replicaCounter({
  spec,
}: ScaledObject): (reading: Reading, current: number, nowMs: number) => number {
  const { minReplicaCount: min, maxReplicaCount: max, fallback } = spec;
  const { metadata } = spec.triggers.postgresql;
  const cooldownMs = spec.cooldownPeriod * 1_000;
  let activeMs: number | null = null;
  let faults = 0;
  let wanted: { atMs: number; count: number }[] = [];

  function byValue(value: number, nowMs: number): number {
    const count = Math.min(Math.max(Math.ceil(value / metadata.targetQueryValue), min, 1), max);
    wanted = wanted.filter(({ atMs }) => atMs > nowMs - stabilizationMs);
    wanted.push({ atMs: nowMs, count });
    return Math.max(...wanted.map((one) => one.count));
  }

  return (reading, current, nowMs) => {
    if ('fault' in reading) {
      faults += 1;
      if (fallback === undefined || faults <= fallback.failureThreshold) return current;
      return fallback.behavior === 'static'
        ? fallback.replicas
        : Math.max(fallback.replicas, current);
    }
    faults = 0;
    if (reading.value > metadata.activationTargetQueryValue) activeMs = nowMs;
    const isCool = activeMs === null || nowMs - activeMs > cooldownMs;
    if (min === 0 && (current === 0 ? activeMs !== nowMs : isCool)) {
      wanted = [];
      return 0;
    }
    return byValue(reading.value, nowMs);
  };
}
