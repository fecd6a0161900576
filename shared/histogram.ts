/**
 * Latency histogram: sparse, log-scaled, mergeable (DESIGN 8). The bounds grow by e^0.04, and a
 * bin's value is the harmonic mean of its bounds, which makes the greatest relative error
 * tanh(0.02) = 2.0% at either bound, the least any single value per bin can have (DDSketch,
 * Masson et al., VLDB 2019, with gamma = e^0.04).
 *
 * A bin is stored in SQL as one bigint, `count * 512 + bin + 1`: 401 bins occur between 1 ms and
 * 24 h, and bin -1 holds everything below 1 ms.
 */

/** SQL for the bin of a latency in milliseconds; `latency` is a column name of ours. */
export function binSql(latency: string): string {
  return `(case when ${latency} < 1 then -1 else ceil(25 * ln(${latency}::float8))::int end)`;
}

/** Packs a bin's number and count; both are SQL expressions of ours. */
export function packSql(bin: string, count: string): string {
  return `(${count}) * 512 + (${bin}) + 1`;
}

/** The value in milliseconds that stands for a bin, not rounded. */
export function binValueMs(bin: number): number {
  return bin < 0 ? 0 : (2 * Math.exp(bin / 25)) / (1 + Math.exp(0.04));
}

/** The bin of a latency in milliseconds, as `binSql` computes it. */
export function binOf(latencyMs: number): number {
  return latencyMs < 1 ? -1 : Math.ceil(25 * Math.log(latencyMs));
}
