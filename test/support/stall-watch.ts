const everyMs = 20;
/** More than this is not the machine being busy. */
const stalledMaxMs = 500;

/**
 * Measures for how long this process was not given the machine: on a busy one a time limit would
 * otherwise fail for what the service has no part in.
 *
 * @returns how to stop, which gives the milliseconds lost, at most 500
 */
export function watchStalls(): () => number {
  let lastMs = performance.now();
  let lostMs = 0;
  const look = () => {
    const lateMs = performance.now() - lastMs - everyMs;
    if (lateMs > everyMs) lostMs += lateMs;
    lastMs = performance.now();
  };
  const timer = setInterval(look, everyMs);
  return () => {
    clearInterval(timer);
    look();
    return Math.min(lostMs, stalledMaxMs);
  };
}
