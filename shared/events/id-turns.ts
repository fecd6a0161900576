import type { UsageEvent } from './usage-event.ts';

/**
 * Work on events of which no two at the same time have an id in common: who comes later waits. What
 * one of them stores, the next one knows.
 */
export function idTurns() {
  const underWay = new Map<string, Promise<unknown>>();
  return async <T>(
    events: readonly Pick<UsageEvent, 'orgId' | 'eventId'>[],
    work: () => Promise<T>,
  ): Promise<T> => {
    const ids = new Set(events.map(({ orgId, eventId }) => `${orgId}/${eventId}`));
    for (;;) {
      const others = new Set([...ids].flatMap((id) => underWay.get(id) ?? []));
      if (others.size === 0) break;
      await Promise.allSettled(others);
    }
    const working = work();
    for (const id of ids) underWay.set(id, working);
    try {
      return await working;
    } finally {
      for (const id of ids) underWay.delete(id);
    }
  };
}
