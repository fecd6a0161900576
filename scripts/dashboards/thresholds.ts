/**
 * Where a number turns bad: the contract's limits, of which both the alerts and the lines in the
 * dashboards are made, so that a red panel and an alert never disagree.
 */
export const thresholds = {
  freshnessStaleSeconds: 300,
  freshnessLagSeconds: 600,
  dedupeFailureRatio: 0.01,
  /** Beyond this `verify` fails. */
  driftRatio: 0.005,
  exportFailuresPerHour: 2,
  exportQueueAgeSeconds: 3_600,
  /** With nothing being worked on: the worker looks every minute. */
  exportIdleQueueAgeSeconds: 900,
  errorRatio: 0.05,
  errorSpikeFactor: 3,
  errorSpikeRatio: 0.01,
  latencyP95Ms: 2_000,
  latencyP99Ms: 5_000,
  throughputShare: 0.8,
  /** Stored events per second below which a share says little: 20% of 3,600 an hour is 12 sigma. */
  throughputFloorPerSecond: 1,
  rollupAgeSeconds: 3_600,
  /** The refresh runs every minute. */
  refreshAgeSeconds: 600,
  /** Verify runs every five minutes. */
  verifyAgeSeconds: 1_800,
} as const;

/** As the status function's metrics have it: an org with fewer events in 5 minutes is left out. */
export const worstOrgsMax = 50;
