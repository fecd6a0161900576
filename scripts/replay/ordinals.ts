/** Rows without an id of their own that can be told apart in one replay. */
export const rowsMax = 20_000_000;

/**
 * Counts how often each row has come, by the hash of its content. Of a hash 8 bytes are kept, in
 * plain arrays: 24 bytes a row, and 400 MB for the most rows, where a Map takes some 100 a row. Two
 * contents of the same 8 bytes are counted as one, which only makes a count higher, and the same
 * every time.
 *
 * @param rows at most so many will come
 */
export function rowOrdinals(rows: number): (hash: Buffer) => number {
  const slots = 2 ** Math.ceil(Math.log2(Math.max(16, rows * 1.6)));
  const high = new Uint32Array(slots);
  const low = new Uint32Array(slots);
  const counts = new Uint32Array(slots);

  return (hash) => {
    const [first, second] = [hash.readUInt32BE(0), hash.readUInt32BE(4)];
    let slot = second & (slots - 1);
    while (counts[slot] !== 0 && !(high[slot] === first && low[slot] === second)) {
      slot = (slot + 1) & (slots - 1);
    }
    high[slot] = first;
    low[slot] = second;
    const count = (counts[slot] ?? 0) + 1;
    counts[slot] = count;
    return count;
  };
}
