import { within } from '../../shared/deadline.ts';

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

/** Looks at all components side by side; one that does not answer in time is unhealthy. */
export async function readiness(components: Components): Promise<ReadinessAnswer> {
  const [database, stream, cache, objectStore] = await Promise.all([
    look(components.database),
    look(components.stream),
    look(components.cache),
    look(components.objectStore),
  ]);
  const found = { database, stream, cache, objectStore };
  return {
    status: Object.values(found).includes('unhealthy') ? 'degraded' : 'ready',
    components: found,
    timestamp: new Date().toISOString(),
  };
}

async function look(
  check: (() => Promise<void>) | null,
): Promise<ReadinessAnswer['components'][ComponentName]> {
  if (check === null) return 'not_configured';
  try {
    await within(patienceMs, check(), 'it does not answer');
    return 'healthy';
  } catch {
    return 'unhealthy';
  }
}
