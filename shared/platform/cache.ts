import type { Attributes } from '@opentelemetry/api';
import { within } from './deadline.ts';
import type { Settings } from './env.ts';
import { messageOf } from './errors.ts';
import { serverAddress } from './telemetry/server-address.ts';
import { inClientSpan } from './telemetry/tracing.ts';

/**
 * A cache that may always be empty: reads that fail are misses, writes that fail are dropped, and
 * each waits `patienceMs` at most. A lost Redis costs speed, never an answer.
 */
export interface Cache {
  readonly name: 'redis' | 'upstash' | 'memory';
  get(key: string): Promise<string | null>;
  set(key: string, value: string, ttlMs: number): Promise<void>;
  delete(keys: readonly string[]): Promise<void>;
  /**
   * Every key that begins so, for people who look into it. Walks through all keys of the server.
   *
   * @throws Error when the server does not answer: no keys must not look like an empty cache.
   */
  keys(prefix: string): Promise<string[]>;
  /** @throws Error when the server does not answer. */
  check(): Promise<void>;
  close(): Promise<void>;
}

/** The commands, as a server or its client has them. They may fail. */
interface CacheServer {
  name: Cache['name'];
  get(key: string): Promise<string | null>;
  set(key: string, value: string, ttlMs: number): Promise<unknown>;
  delete(keys: readonly string[]): Promise<unknown>;
  keys(prefix: string): Promise<string[]>;
  check(): Promise<unknown>;
  close(): Promise<unknown>;
}

export type CacheFault = (message: string) => void;

/** A cache that is slower than this is no help to the request that asks it. */
const requestPatienceMs = 250;

/** A walk through a million keys takes about a second. */
const walkMaxMs = 30_000;
const keysPerStep = 1_000;

/** Opens the cache that the settings name; connects on first use. */
export function openCache(
  { REDIS_URL: url, REDIS_TOKEN: token }: Pick<Settings, 'REDIS_URL' | 'REDIS_TOKEN'>,
  onFault: CacheFault = () => {},
  patienceMs = requestPatienceMs,
): Cache {
  const server =
    url === undefined
      ? memoryServer()
      : /^https?:/.test(url)
        ? upstashServer(url, token ?? '')
        : redisServer(url);
  const address = url === undefined ? {} : serverAddress(url);
  return forgiving(server, address, onFault, patienceMs);
}

function forgiving(
  server: CacheServer,
  address: Attributes,
  onFault: CacheFault,
  patienceMs: number,
): Cache {
  const lateFault = `the cache does not answer within ${patienceMs} ms`;
  async function orElse<T>(command: string, fallback: T, work: () => Promise<T>): Promise<T> {
    const inTime = () => within(patienceMs, work(), lateFault);
    try {
      return await (server.name === 'memory'
        ? inTime()
        : inClientSpan(spanOf(command, address), inTime));
    } catch (error) {
      onFault(messageOf(error));
      return fallback;
    }
  }
  return {
    name: server.name,
    get: (key) => orElse('GET', null, () => server.get(key)),
    set: (key, value, ttlMs) =>
      orElse('SET', undefined, async () => {
        if (ttlMs > 0) await server.set(key, value, ttlMs);
      }),
    delete: (keys) =>
      orElse('DEL', undefined, async () => {
        if (keys.length > 0) await server.delete(keys);
      }),
    keys: (prefix) =>
      within(walkMaxMs, server.keys(prefix), `the cache does not answer within ${walkMaxMs} ms`),
    check: async () => {
      await within(patienceMs, server.check(), lateFault);
    },
    close: async () => {
      await server.close();
    },
  };
}

/** Without the key, which may name a tenant. */
function spanOf(command: string, address: Attributes) {
  const attributes = { 'db.system.name': 'redis', 'db.operation.name': command, ...address };
  return () => ({ name: command, attributes });
}

const connectMaxMs = 2_000;

function redisServer(url: string): CacheServer {
  const open = async () => {
    const { redisClient } = await import('./redis-client.ts');
    const client = redisClient(url, connectMaxMs);
    // What is destroyed before it has its socket leaves that open, and the process alive.
    const hasSocket = new Promise<void>((resolve) => {
      client.once('connect', () => resolve());
    });
    const connected = client.connect();
    const settled = connected.then(
      () => {},
      () => {},
    );
    return { client, connected, hasSocket: Promise.race([hasSocket, settled]) };
  };
  let opening: ReturnType<typeof open> | undefined;
  const ready = async () => {
    opening ??= open();
    const { client, connected } = await opening;
    await connected;
    return client;
  };
  return {
    name: 'redis',
    get: async (key) => (await ready()).get(key),
    set: async (key, value, ttlMs) =>
      (await ready()).set(key, value, { expiration: { type: 'PX', value: ttlMs } }),
    delete: async (keys) => (await ready()).del([...keys]),
    keys: async (prefix) => {
      const client = await ready();
      return walk(async (cursor) => {
        const step = await client.scan(cursor, { MATCH: globOf(prefix), COUNT: keysPerStep });
        return [step.cursor, step.keys];
      });
    },
    check: async () => (await ready()).ping(),
    close: async () => {
      if (opening === undefined) return;
      const { client, hasSocket } = await opening;
      await within(connectMaxMs, hasSocket, 'not connected').catch(() => {});
      client.destroy();
    },
  };
}

function upstashServer(url: string, token: string): CacheServer {
  const open = async () => {
    const { Redis } = await import('@upstash/redis');
    return new Redis({
      url,
      token,
      automaticDeserialization: false,
      enableTelemetry: false,
      retry: false,
    });
  };
  let opening: ReturnType<typeof open> | undefined;
  const ready = () => {
    opening ??= open();
    return opening;
  };
  return {
    name: 'upstash',
    get: async (key) => (await ready()).get<string>(key),
    set: async (key, value, ttlMs) => (await ready()).set(key, value, { px: ttlMs }),
    delete: async (keys) => (await ready()).del(...keys),
    keys: async (prefix) => {
      const client = await ready();
      return walk((cursor) => client.scan(cursor, { match: globOf(prefix), count: keysPerStep }));
    },
    check: async () => (await ready()).ping(),
    close: async () => {},
  };
}

/** SCAN from cursor 0 until it is 0 again; it may give a key twice. */
async function walk(
  step: (cursor: string) => Promise<readonly [cursor: string, keys: readonly string[]]>,
): Promise<string[]> {
  const found = new Set<string>();
  let cursor = '0';
  do {
    const [next, keys] = await step(cursor);
    for (const key of keys) found.add(key);
    cursor = next;
  } while (cursor !== '0');
  return [...found].sort();
}

/** SCAN takes a pattern: what is special in one is escaped. */
function globOf(prefix: string): string {
  return `${prefix.replace(/[*?[\]\\^-]/g, '\\$&')}*`;
}

/** For one process on one machine. Bounded: the oldest entry goes when there are too many. */
function memoryServer(entriesMax = 10_000): CacheServer {
  const entries = new Map<string, { value: string; expiresAtMs: number }>();
  return {
    name: 'memory',
    get: async (key) => {
      const entry = entries.get(key);
      return entry !== undefined && entry.expiresAtMs > Date.now() ? entry.value : null;
    },
    set: async (key, value, ttlMs) => {
      entries.delete(key);
      entries.set(key, { value, expiresAtMs: Date.now() + ttlMs });
      const [oldest] = entries.keys();
      if (entries.size > entriesMax && oldest !== undefined) entries.delete(oldest);
    },
    delete: async (keys) => {
      for (const key of keys) entries.delete(key);
    },
    keys: async (prefix) => [...entries.keys()].filter((key) => key.startsWith(prefix)).sort(),
    check: async () => {},
    close: async () => {},
  };
}
