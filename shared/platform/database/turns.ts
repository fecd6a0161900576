import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '../errors.ts';

export interface TurnsOptions {
  atOnceMax: number;
  waitMaxMs: number;
  /** Asked again and again while somebody waits; calls `refuse` when the database does not answer. */
  look: () => Promise<void>;
}

/** Who may use the database now, first come, first served. */
export interface Turns {
  /**
   * Waits for a turn, which is to be given back.
   *
   * @throws ServiceError `unavailable` when too many wait, the wait takes too long, or as `refuse` says.
   */
  take(): Promise<void>;
  giveBack(): void;
  /** Sends all away who wait. */
  refuse(reason: unknown): void;
}

interface Waiter {
  go(): void;
  refuse(reason: unknown): void;
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
  const waiting = new Set<Waiter>();
  let atWork = 0;
  let isLooking = false;

  async function lookWhileSomebodyWaits(): Promise<void> {
    if (isLooking) return;
    isLooking = true;
    while (waiting.size > 0) {
      await sleep(lookEveryMs);
      if (waiting.size > 0) await look().catch(() => {});
    }
    isLooking = false;
  }

  function wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        waiting.delete(waiter);
      };
      const waiter: Waiter = {
        go: () => {
          leave();
          resolve();
        },
        refuse: (reason) => {
          leave();
          reject(reason);
        },
      };
      const timer = setTimeout(() => waiter.refuse(busy('the wait takes too long')), waitMaxMs);
      waiting.add(waiter);
      lookWhileSomebodyWaits();
    });
  }

  return {
    take: async () => {
      if (atWork < atOnceMax) atWork += 1;
      else if (waiting.size >= waitingMax) throw busy(`${waiting.size} wait for it already`);
      // The turn is handed over by the one before.
      else await wait();
    },
    giveBack: () => {
      const [next] = waiting;
      if (next === undefined) atWork -= 1;
      else next.go();
    },
    refuse: (reason) => {
      for (const waiter of [...waiting]) waiter.refuse(reason);
    },
  };
}

function busy(reason: string): ServiceError {
  return new ServiceError('unavailable', `the database is busy: ${reason}`);
}
