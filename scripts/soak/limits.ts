/** What the publisher lets wait for confirms. */
export const inFlightMax = 10_000;

/** A Node.js process of ours at rest with its heap's room to move, in MB. */
const restMb = 180;

/**
 * What a message takes on its way: its bytes, the objects of the client and the event, its line for
 * COPY, and all of that once more as garbage that is not yet collected. In KB.
 */
const messageKb = 8;

/**
 * How much resident memory the consumer may take, in MB, however much waits in the stream: by
 * prefetch the broker sends two batches ahead, and one is being stored.
 */
export function consumerLimitMb(batchSize: number): number {
  return restMb + (3 * batchSize * messageKb) / 1_000;
}

/** What waits for confirms, and as much again as garbage. */
export const publisherLimitMb = restMb + (2 * inFlightMax * messageKb) / 1_000;

/** Those that no event passes through. */
export const bystanderLimitMb = restMb;
