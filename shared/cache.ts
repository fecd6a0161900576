import { within } from './deadline.ts';
import type { Settings } from './env.ts';
import { messageOf } from './errors.ts';

/**
 * A cache that may always be empty: reads that fail are misses, writes that fail are dropped, and
 * each waits `patienceMs` at most. A lost Redis costs speed, never an answer.
 */
export interface Cache {
  readonly name: 'redis' | 'upstash' | 'memory';
  get(key: string): Promise<string | null>;
  set(key: string, value: string, ttlMs: number): Promise<void>;
  delete(keys: readonly string[]): Promise<void>;
  /** @throws Error when the server does not answer. */
  check(): Promise<void>;
  close(): Promise<void>;
}

/** The four commands, as a server or its client has them. They may fail. */
interface CacheServer {
  name: Cache['name'];
  get(key: string): Promise<string | null>;
  set(key: string, value: string, ttlMs: number): Promise<unknown>;
  delete(keys: readonly string[]): Promise<unknown>;
  check(): Promise<unknown>;
  close(): Promise<unknown>;
}

export type CacheFault = (message: string) => void;

/** A cache that is slower than this is no help to the request that asks it. */
const requestPatienceMs = 250;

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
  return forgiving(server, onFault, patienceMs);
}

function forgiving(server: CacheServer, onFault: CacheFault, patienceMs: number): Cache {
  const lateFault = `the cache does not answer within ${patienceMs} ms`;
  async function orElse<T>(fallback: T, work: () => Promise<T>): Promise<T> {
    try {
      return await within(patienceMs, work(), lateFault);
    } catch (error) {
      onFault(messageOf(error));
      return fallback;
    }
  }
  return {
    name: server.name,
    get: (key) => orElse(null, () => server.get(key)),
    set: (key, value, ttlMs) =>
      orElse(undefined, async () => {
        if (ttlMs > 0) await server.set(key, value, ttlMs);
      }),
    delete: (keys) =>
      orElse(undefined, async () => {
        if (keys.length > 0) await server.delete(keys);
      }),
    check: async () => {
      await within(patienceMs, server.check(), lateFault);
    },
    close: async () => {
      await server.close();
    },
  };
}

function redisServer(url: string): CacheServer {
  const open = async () => {
    const { createClient } = await import('@redis/client');
    const client = createClient({
      url,
      // While the server is away a command fails at once instead of waiting for its return.
      disableOfflineQueue: true,
      socket: { connectTimeout: 2_000, reconnectStrategy: (tries) => Math.min(tries * 100, 2_000) },
    });
    // Commands report their own failures; unhandled, this event would end the process.
    client.on('error', () => {});
    const connected = client.connect();
    connected.catch(() => {});
    return { client, connected };
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
    check: async () => (await ready()).ping(),
    close: async () => {
      if (opening !== undefined) (await opening).client.destroy();
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
    check: async () => (await ready()).ping(),
    close: async () => {},
  };
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
    check: async () => {},
    close: async () => {},
  };
}
