import pg from 'pg';
import { type Cluster, startCluster } from '../../scripts/cluster-local/cluster.ts';
import type { ClusterEvent } from '../../scripts/cluster-local/cluster-event.ts';
import { freshStores } from '../../scripts/cluster-local/stores.ts';
import type { KubernetesObject } from '../../scripts/knative/render.ts';
import { services } from './services.ts';
import { adminHeaders } from './system.ts';
import { until } from './until.ts';

type EventOf<Kind extends ClusterEvent['kind']> = Extract<ClusterEvent, { kind: Kind }>;

export interface LocalCluster extends Cluster {
  databaseUrl: string;
  stream: string;
  gatewaySecret: string;
  /** What the pods logged, each line after its pod's name. */
  log: readonly string[];
  /** What happened so far of a kind, with the time of each by `performance.now()`. */
  happened<Kind extends ClusterEvent['kind']>(kind: Kind): (EventOf<Kind> & { atMs: number })[];
  /** Waits for an event, which may have been already. */
  seen<Kind extends ClusterEvent['kind']>(
    what: string,
    kind: Kind,
    is: (event: EventOf<Kind> & { atMs: number }) => boolean,
    timeoutMs?: number,
  ): Promise<EventOf<Kind> & { atMs: number }>;
  /** A request through the routes, as the gateway sends it, of an admin. */
  ask(path: string, init?: RequestInit): Promise<Response>;
  query<Row extends pg.QueryResultRow>(sql: string, values?: unknown[]): Promise<Row[]>;
}

/** An overlay on the real servers, with a database, a stream and a bucket of its own. */
export async function startLocalCluster(
  objects: readonly KubernetesObject[],
  timeScale: number,
): Promise<LocalCluster> {
  const stores = await freshStores(services());
  const events: (ClusterEvent & { atMs: number })[] = [];
  const log: string[] = [];
  const databaseUrl = stores.secrets['analytics-database']?.url ?? '';
  const gatewaySecret = stores.secrets['analytics-gateway']?.secret ?? '';
  const headers = { ...adminHeaders, 'X-Gateway-Secret': gatewaySecret };
  const cluster = await startCluster({
    objects,
    secrets: stores.secrets,
    settings: stores.settings,
    port: 0,
    timeScale,
    onEvent: (event) => events.push({ ...event, atMs: performance.now() }),
    onLine: (pod, line) => log.push(`${pod} ${line}`),
  }).catch(async (error: unknown) => {
    await stores.close();
    throw error;
  });
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });
  const happened = <Kind extends ClusterEvent['kind']>(kind: Kind) =>
    events.filter((event): event is EventOf<Kind> & { atMs: number } => event.kind === kind);
  return {
    ...cluster,
    log,
    gatewaySecret,
    databaseUrl,
    stream: stores.settings.RABBITMQ_STREAM ?? '',
    happened,
    seen: (what, kind, is, timeoutMs = 20_000) =>
      until(what, async () => happened(kind).find(is), { timeoutMs }),
    ask: (path, init = {}) =>
      fetch(`${cluster.url}/analytics/v1${path}`, {
        ...init,
        headers: { ...headers, ...init.headers },
      }),
    query: async (sql, values) => (await pool.query(sql, values)).rows,
    stop: async () => {
      await cluster.stop();
      await pool.end();
      await stores.close();
    },
  };
}
