/**
 * What a function's revisions need and func.yaml cannot say: func has no words for it, and the
 * cluster refuses `autoscaling.knative.dev/…` where func would put it.
 */
export interface RevisionSettings {
  /**
   * How long a request may take; 600 is the most that Knative allows unless told otherwise. Pods
   * have as long to end, of which the first 30 s go to waiting for the last requests, and a function
   * takes up to 25 s to finish what it has: 60 at least.
   */
  timeoutSeconds: number;
  /** How long the last pod stays after the last request, instead of a minute. */
  lastPodRetention?: string;
  /** How long pods that are no longer needed stay, so that the next burst finds them. */
  scaleDownDelay?: string;
}

/**
 * Every function that serves HTTP. None has a pod without need, in production either: who comes
 * first after a quiet time waits for a pod to start, who goes on reading does not.
 *
 * `initial-scale` stays at Knative's 1: a new revision takes over only after one pod of it was
 * ready, and 0 has to be allowed for the whole cluster first. `containerConcurrency` stays without a
 * limit: a ping must be answered beside the export that is being written, and all functions wait for
 * stores rather than compute.
 */
export const revisions: Readonly<Record<string, RevisionSettings>> = {
  // A statement is ended after 30 s. Who looks at numbers asks again within minutes.
  usage: { timeoutSeconds: 60, lastPodRetention: '5m' },
  reliability: { timeoutSeconds: 60, lastPodRetention: '5m' },
  // Prometheus keeps it awake.
  status: { timeoutSeconds: 60 },
  // Producers come in bursts.
  events: { timeoutSeconds: 60, scaleDownDelay: '2m' },
  // Whoever asked for an export comes back for its status.
  exports: { timeoutSeconds: 60, lastPodRetention: '5m' },
  // Answer from memory.
  docs: { timeoutSeconds: 60 },
  console: { timeoutSeconds: 60 },
  // A fold that is cut off has committed batch by batch, and the next ping goes on with the rest.
  // Pinged each minute, which is just as long as Knative's window: the last pod stays for another
  // two, so that it is not ended between two pings.
  refresh: { timeoutSeconds: 300, lastPodRetention: '2m' },
  // Large exports: a long Service rather than a JobSink. A request claims jobs for at most 240 s,
  // and 2,000,000 rows were measured to take 28 s, so 600 s are hardly ever reached; an attempt
  // that is still running then goes on, as the sweep's pings keep a pod awake, and a pod that is
  // told to end gives its job back. JobSink is v1alpha1, starts one Job for each event though one
  // worker drains the queue, and would be a second way to run the same code.
  'export-worker': { timeoutSeconds: 600, lastPodRetention: '2m' },
  // Its statements are ended after 240 s, and there are several.
  verify: { timeoutSeconds: 600 },
};
