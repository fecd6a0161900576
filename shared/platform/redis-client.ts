import { createClient } from '@redis/client';

/**
 * A client that is not connected yet. In a file of its own, which is loaded where Redis is used: what
 * `import()` of this package itself gives, a CommonJS one made of an ES module, no two loaders agree on.
 */
export function redisClient(url: string, connectTimeout: number) {
  const client = createClient({
    url,
    // While the server is away a command fails at once instead of waiting for its return.
    disableOfflineQueue: true,
    socket: {
      connectTimeout,
      reconnectStrategy: (tries) => Math.min(tries * 100, 2_000),
    },
  });
  // Commands report their own failures; unhandled, this event would end the process.
  client.on('error', () => {});
  return client;
}
