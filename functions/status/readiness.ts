import type { HealthFaults } from '../../shared/http/health-log.ts';
import { within } from '../../shared/platform/deadline.ts';
import { messageOf } from '../../shared/platform/errors.ts';

export const componentNames = ['database', 'stream', 'cache', 'objectStore'] as const;
export type ComponentName = (typeof componentNames)[number];

/** How to look at each component; null where none is configured. Only the database is required. */
export type Components = Record<ComponentName, (() => Promise<void>) | null>;

export interface ReadinessAnswer {
  status: 'ready' | 'degraded';
  components: Record<ComponentName, 'healthy' | 'unhealthy' | 'not_configured'>;
  timestamp: string;
}

/** The contract's second for an answer, with some to spare. */
const patienceMs = 850;

/**
 * Looks at all components side by side; one that does not answer in time is unhealthy.
 *
 * @returns what the caller is told, and for us why which component is not well
 */
export async function readiness(
  components: Components,
): Promise<{ answer: ReadinessAnswer; faults: HealthFaults }> {
  const faults: Record<string, string> = {};
  const look = async (name: ComponentName) => {
    const check = components[name];
    if (check === null) return 'not_configured';
    try {
      await within(patienceMs, check(), 'it does not answer');
      return 'healthy';
    } catch (error) {
      faults[name] = messageOf(error);
      return 'unhealthy';
    }
  };
  const [database, stream, cache, objectStore] = await Promise.all([
    look('database'),
    look('stream'),
    look('cache'),
    look('objectStore'),
  ]);
  const status = Object.keys(faults).length > 0 ? 'degraded' : 'ready';
  const found = { database, stream, cache, objectStore };
  return { answer: { status, components: found, timestamp: new Date().toISOString() }, faults };
}
