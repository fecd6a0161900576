import { getRandomValues } from 'node:crypto';
import type { UsageEvent } from './usage-event.ts';

/** Prints of ids, two numbers for each: the first at twice its place. */
export type IdPrints = Uint32Array;

/**
 * Ids of events that are stored, and when each of those occurred. It may forget, and once in many
 * billions take one id for another: what it says is a hint, which storage confirms.
 */
export interface RecentIds {
  /** How many there are now. */
  readonly size: number;
  /** Ids that were forgotten within their hour, for want of room. */
  readonly forgottenEarly: number;
  /** Age, when it was forgotten, of the one that was forgotten early last. */
  readonly forgottenAtAgeMs: number;
  /** The newest of its stream's batches that it knows the ids of. */
  lastBatch: number;
  /** How many it may hold. */
  readonly idsMax: number;
  prints(events: readonly Pick<UsageEvent, 'orgId' | 'eventId'>[]): IdPrints;
  /** When the event of this id occurred, as it is stored. */
  find(prints: IdPrints, place: number, nowMs: number): number | undefined;
  /** `atMs` is when it was stored. An id that is known stays as it is. */
  learn(prints: IdPrints, place: number, occurredAtMs: number, atMs: number): void;
  /** Bounds it from now on; the oldest go first. */
  limit(idsMax: number): void;
}

/** How long an id is remembered, where there is room. */
export const rememberedMs = 3_600_000;
const firstCapacity = 4_096;
/** Everything is entered again as it grows: by four a third of it, by two all of it. */
const growthFactor = 4;

/**
 * 28 bytes an id: a ring in the order of learning, and a table of places in it, open-addressed, at
 * most two thirds full. A Map of the same ids takes some 150, and lets nothing go in order.
 */
export function recentIds(idsMax: number): RecentIds {
  const hash = idHash();
  let max = idsMax;
  let ring = ringOf(Math.min(firstCapacity, max));
  let table = new Uint32Array(tableSize(ring.capacity));
  let mask = table.length - 1;
  let oldest = 0;
  let size = 0;
  let forgottenEarly = 0;
  let forgottenAtAgeMs = 0;

  /** The place in the ring, or -1. */
  function placeOf(low: number, high: number): number {
    for (let at = low & mask; ; at = (at + 1) & mask) {
      const place = (table[at] ?? 0) - 1;
      if (place < 0) return -1;
      if (ring.low[place] === low && ring.high[place] === high) return place;
    }
  }

  function enter(place: number): void {
    let at = (ring.low[place] ?? 0) & mask;
    while (table[at] !== 0) at = (at + 1) & mask;
    table[at] = place + 1;
  }

  /** Entries behind the gap move into it (Knuth, volume 3, 6.4, algorithm R): no tombstones. */
  function leave(place: number): void {
    let gap = (ring.low[place] ?? 0) & mask;
    while (table[gap] !== place + 1) gap = (gap + 1) & mask;
    for (let at = (gap + 1) & mask; ; at = (at + 1) & mask) {
      const entry = table[at] ?? 0;
      if (entry === 0) break;
      const home = (ring.low[entry - 1] ?? 0) & mask;
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      table[gap] = entry;
      gap = at;
    }
    table[gap] = 0;
  }

  function forgetOldest(): void {
    leave(oldest);
    oldest = (oldest + 1) % ring.capacity;
    size -= 1;
  }

  function forgetForRoom(nowMs: number): void {
    const ageMs = nowMs - secondsAsMs(ring.learntAt[oldest] ?? 0);
    if (ageMs < rememberedMs) {
      forgottenEarly += 1;
      forgottenAtAgeMs = ageMs;
    }
    forgetOldest();
  }

  function resize(capacity: number): void {
    const former = ring;
    const kept = Math.min(size, capacity);
    const skipped = size - kept;
    if (skipped > 0) {
      const at = (place: number) => former.learntAt[place % former.capacity] ?? 0;
      forgottenEarly += skipped;
      forgottenAtAgeMs = secondsAsMs(at(oldest + size - 1) - at(oldest + skipped - 1));
    }
    ring = ringOf(capacity);
    for (let index = 0; index < kept; index += 1) {
      const from = (oldest + skipped + index) % former.capacity;
      ring.low[index] = former.low[from] ?? 0;
      ring.high[index] = former.high[from] ?? 0;
      ring.occurredAtMs[index] = former.occurredAtMs[from] ?? 0;
      ring.learntAt[index] = former.learntAt[from] ?? 0;
    }
    oldest = 0;
    size = kept;
    table = new Uint32Array(tableSize(capacity));
    mask = table.length - 1;
    for (let place = 0; place < size; place += 1) enter(place);
  }

  const isExpired = (place: number, nowMs: number) =>
    nowMs - secondsAsMs(ring.learntAt[place] ?? 0) >= rememberedMs;

  return {
    get size() {
      return size;
    },
    get idsMax() {
      return max;
    },
    get forgottenEarly() {
      return forgottenEarly;
    },
    get forgottenAtAgeMs() {
      return forgottenAtAgeMs;
    },
    lastBatch: 0,
    prints: (events) => {
      const prints = new Uint32Array(events.length * 2);
      let at = 0;
      for (const { orgId, eventId } of events) {
        hash(orgId, eventId, prints, at);
        at += 2;
      }
      return prints;
    },
    find: (prints, place, nowMs) => {
      const found = placeOf(prints[2 * place] ?? 0, prints[2 * place + 1] ?? 0);
      return found < 0 || isExpired(found, nowMs) ? undefined : ring.occurredAtMs[found];
    },
    learn: (prints, place, occurredAtMs, atMs) => {
      const low = prints[2 * place] ?? 0;
      const high = prints[2 * place + 1] ?? 0;
      while (size > 0 && isExpired(oldest, atMs)) forgetOldest();
      const known = placeOf(low, high);
      if (known >= 0) {
        // Only where the clock was set back is one expired that is not the oldest.
        if (!isExpired(known, atMs)) return;
        ring.occurredAtMs[known] = occurredAtMs;
        ring.learntAt[known] = msAsSeconds(atMs);
        return;
      }
      if (size === ring.capacity) {
        if (size < max) resize(Math.min(size * growthFactor, max));
        else forgetForRoom(atMs);
      }
      const next = (oldest + size) % ring.capacity;
      ring.low[next] = low;
      ring.high[next] = high;
      ring.occurredAtMs[next] = occurredAtMs;
      ring.learntAt[next] = msAsSeconds(atMs);
      size += 1;
      enter(next);
    },
    limit: (most) => {
      max = most;
      if (ring.capacity > max) resize(max);
    },
  };
}

interface Ring {
  capacity: number;
  low: Uint32Array;
  high: Uint32Array;
  occurredAtMs: Float64Array;
  /** Seconds since 1970, which 32 bits hold until 2106. */
  learntAt: Uint32Array;
}

function ringOf(capacity: number): Ring {
  return {
    capacity,
    low: new Uint32Array(capacity),
    high: new Uint32Array(capacity),
    occurredAtMs: new Float64Array(capacity),
    learntAt: new Uint32Array(capacity),
  };
}

function tableSize(capacity: number): number {
  return 2 ** Math.ceil(Math.log2(capacity * 1.5));
}

/** Rounded up: an id is rather remembered a second longer. */
function msAsSeconds(ms: number): number {
  return Math.ceil(ms / 1_000);
}

function secondsAsMs(seconds: number): number {
  return seconds * 1_000;
}

const uuidLength = 36;

/**
 * Two numbers of an id. The first is by simple tabulation hashing of the event id: for each character
 * 32 random bits, all of them XORed. With it open addressing takes a constant number of steps
 * whatever the keys are (https://arxiv.org/abs/1011.5200), and since the bits are drawn at each start,
 * nobody can send ids that fall together. The second only has to tell most ids apart: the event id's
 * last eight digits. Into both goes the org by its last eight, which no sender chooses.
 */
function idHash() {
  // Rows of 128, one for each place of a uuid's text; hyphens have their numbers too.
  const bits = getRandomValues(new Uint32Array(uuidLength << 7));
  return (orgId: string, eventId: string, into: IdPrints, at: number): void => {
    let hash = lastDigits(orgId);
    into[at + 1] = Math.imul(hash, 0x9e3779b1) ^ lastDigits(eventId);
    for (let index = 0; index < uuidLength; index += 1) {
      hash ^= bits[(index << 7) | (eventId.charCodeAt(index) & 127)] ?? 0;
    }
    into[at] = hash;
  };
}

function lastDigits(uuid: string): number {
  let number = 0;
  for (let index = uuidLength - 8; index < uuidLength; index += 1) {
    const code = uuid.charCodeAt(index);
    // Lower-case letters follow the digits.
    number = (number << 4) | (code > 57 ? code - 87 : code - 48);
  }
  return number;
}
