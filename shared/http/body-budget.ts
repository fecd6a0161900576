/** What unfinished bodies may hold in a process; a pod has 256 MiB. */
const unfinishedMaxBytes = 33_554_432;

/**
 * Counts the bytes of bodies that are on their way, over all requests: each is bounded by itself,
 * but many senders who never finish would fill the memory all the same.
 */
export class BodyBudget {
  private held = 0;
  private readonly heldBy = new Map<string, number>();
  private readonly maxBytes: number;

  constructor(maxBytes = unfinishedMaxBytes) {
    this.maxBytes = maxBytes;
  }

  /**
   * Takes room for bytes that came in.
   *
   * @param holder who sends them: one may hold half, so that it keeps nobody else out
   * @returns false where there is none
   */
  take(holder: string, bytes: number): boolean {
    const own = (this.heldBy.get(holder) ?? 0) + bytes;
    if (this.held + bytes > this.maxBytes || own > this.maxBytes / 2) return false;
    this.held += bytes;
    this.heldBy.set(holder, own);
    return true;
  }

  /** Gives back what was taken. */
  release(holder: string, bytes: number): void {
    const own = (this.heldBy.get(holder) ?? 0) - bytes;
    this.held -= bytes;
    if (own > 0) this.heldBy.set(holder, own);
    else this.heldBy.delete(holder);
  }
}
