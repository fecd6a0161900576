/** An event on its way out, valid or (for the seed) not. */
export interface Outgoing {
  /** How a person finds it again, such as `line 12`. */
  label: string;
  eventId: string;
  /** Chooses the partition. */
  orgId: string;
  /** JSON in UTF-8. */
  content: Buffer;
  /** When to send it, milliseconds since 1970; at once where absent. */
  dueMs?: number;
}

/** An event that the service refused in its very answer. */
export interface Refusal {
  label: string;
  reason: string;
}

export interface Delivery {
  refused: Refusal[];
  /** Whether some of the batch may have been taken twice, since an earlier try was not answered. */
  wasRepeated: boolean;
}

/** Where events are sent to. */
export interface Target {
  /** For people: `stream analytics.usage.v1 at 127.0.0.1:5672`. */
  readonly name: string;
  /**
   * Safe once it returns: everything but the refused is with the broker.
   *
   * @throws Error with one clear line once the bounded retries are used up.
   */
  send(batch: readonly Outgoing[]): Promise<Delivery>;
  close(): Promise<void>;
}
