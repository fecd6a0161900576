import { createHash } from 'node:crypto';

/**
 * The partition that an org's events belong to, so that their order holds: the first four bytes of
 * SHA-256 of the lower-case org id, big-endian, modulo the number of partitions. Producers in any
 * language can do the same.
 *
 * @param partitions the stream names, at least one (see `streamPartitions`)
 */
export function partitionOf(orgId: string, partitions: readonly string[]): string {
  const hash = createHash('sha256').update(orgId.toLowerCase()).digest().readUInt32BE(0);
  const partition = partitions[hash % partitions.length];
  if (partition === undefined) throw new Error('a stream has at least one partition');
  return partition;
}
