import type { Logger } from '../platform/telemetry/telemetry.ts';

/** By what is not well, each with its reason. */
export type HealthFaults = Readonly<Record<string, string>>;

/**
 * Logs a probe's answer when it is another than the one before: the platform asks every few seconds
 * and nobody reads the same line thousands of times. At first all counts as well.
 */
export function healthLog(probe: string): (logger: Logger, faults: HealthFaults) => void {
  let before = '';
  return (logger, faults) => {
    const now = Object.keys(faults).sort().join();
    if (now === before) return;
    before = now;
    if (now === '') logger.info({ probe }, 'all is well again');
    else logger.warn({ probe, faults }, 'not all is well');
  };
}
