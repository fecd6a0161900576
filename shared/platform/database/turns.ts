import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '../errors.ts';

export interface TurnsOptions {
  atOnceMax: number;
  waitMaxMs: number;
  /** Asked again and again while somebody waits; calls `refuse` when the database does not answer. */
  look: () => Promise<void>;
}

/**
 * Who may use the database now. Everybody who waits has a share, a tenant for instance: the next
 * turn goes to the share with the fewest at work, of those to the one that waited longest for one,
 * and within it first come, first served. So nobody's many requests keep another's one waiting for
 * more than a turn.
 */
export interface Turns {
  /**
   * Waits for a turn, which is to be given back under the same share.
   *
   * @throws ServiceError `unavailable` when too many wait, the wait takes too long, or as `refuse` says.
   */
  take(share?: string): Promise<void>;
  giveBack(share?: string): void;
  /** Sends all away who wait. */
  refuse(reason: unknown): void;
}

interface Waiter {
  go(): void;
  refuse(reason: unknown): void;
}

interface Share {
  name: string;
  atWork: number;
  waiting: Set<Waiter>;
  /** When it had its last turn, as a number that only grows. */
  servedAt: number;
}

/** What ten connections get done in ten seconds when each takes half a second. */
const waitingMax = 200;

/** Those at work may be at long statements, and say nothing about whether the database is there. */
const lookEveryMs = 100;

/**
 * Waiting for others is no fault, so it may take longer than connecting; waiting for a database that
 * is away is in vain. While somebody waits, `look` is what tells the two apart.
 */
export function createTurns({ atOnceMax, waitMaxMs, look }: TurnsOptions): Turns {
  /** Of those at work or waiting; a share with nobody is none. */
  const shares = new Map<string, Share>();
  let atWork = 0;
  let waiting = 0;
  let turns = 0;
  let isLooking = false;

  async function lookWhileSomebodyWaits(): Promise<void> {
    if (isLooking) return;
    isLooking = true;
    while (waiting > 0) {
      await sleep(lookEveryMs);
      if (waiting > 0) await look().catch(() => {});
    }
    isLooking = false;
  }

  function shareOf(name: string): Share {
    const known = shares.get(name);
    if (known !== undefined) return known;
    // Who comes for the first time stands behind those who have waited for a turn.
    const share = { name, atWork: 0, waiting: new Set<Waiter>(), servedAt: turns };
    shares.set(name, share);
    return share;
  }

  function leave(share: Share): void {
    if (share.atWork === 0 && share.waiting.size === 0) shares.delete(share.name);
  }

  function begin(share: Share): void {
    share.atWork += 1;
    turns += 1;
    share.servedAt = turns;
  }

  function wait(share: Share): Promise<void> {
    return new Promise((resolve, reject) => {
      const leaveQueue = () => {
        clearTimeout(timer);
        if (share.waiting.delete(waiter)) waiting -= 1;
      };
      const waiter: Waiter = {
        go: () => {
          leaveQueue();
          begin(share);
          resolve();
        },
        refuse: (reason) => {
          leaveQueue();
          leave(share);
          reject(reason);
        },
      };
      const timer = setTimeout(() => waiter.refuse(busy('the wait takes too long')), waitMaxMs);
      share.waiting.add(waiter);
      waiting += 1;
      lookWhileSomebodyWaits();
    });
  }

  /** A place among those who wait, where need be that of the last of who has the most of them. */
  function makeRoom(share: Share): void {
    if (waiting < waitingMax) return;
    const most = [...shares.values()].reduce((a, b) => (b.waiting.size > a.waiting.size ? b : a));
    const reason = busy(`${waiting} wait for it already`);
    // Otherwise two would take the place from one another.
    if (most.waiting.size <= share.waiting.size + 1) {
      leave(share);
      throw reason;
    }
    [...most.waiting].at(-1)?.refuse(reason);
  }

  function next(): Waiter | undefined {
    let first: Share | undefined;
    for (const share of shares.values()) {
      if (share.waiting.size > 0 && (first === undefined || isBefore(share, first))) first = share;
    }
    const [waiter] = first?.waiting ?? [];
    return waiter;
  }

  return {
    take: async (name = '') => {
      const share = shareOf(name);
      if (atWork < atOnceMax) {
        atWork += 1;
        begin(share);
        return;
      }
      makeRoom(share);
      // The turn is handed over by the one before.
      await wait(share);
    },
    giveBack: (name = '') => {
      const share = shareOf(name);
      share.atWork -= 1;
      leave(share);
      const waiter = next();
      if (waiter === undefined) atWork -= 1;
      else waiter.go();
    },
    refuse: (reason) => {
      for (const share of [...shares.values()]) {
        for (const waiter of [...share.waiting]) waiter.refuse(reason);
      }
    },
  };
}

function isBefore(a: Share, b: Share): boolean {
  return a.atWork === b.atWork ? a.servedAt < b.servedAt : a.atWork < b.atWork;
}

function busy(reason: string): ServiceError {
  return new ServiceError('unavailable', `the database is busy: ${reason}`);
}
