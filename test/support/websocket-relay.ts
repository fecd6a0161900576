import { once } from 'node:events';
import { connect } from 'node:net';
import { type RawData, WebSocketServer } from 'ws';

export interface WebSocketRelay {
  /** Where Neon's driver finds it, as `neonConfig.wsProxy` wants it. */
  address: string;
  stop(): Promise<void>;
}

/**
 * What Neon's proxy is to its driver: WebSockets in, a PostgreSQL server's TCP port behind. The
 * driver asks for the server in the query, as `?address=host:port`; `serverHost` says where that
 * host is. Unlike Neon's proxy the relay has no part in the login: the driver and the server settle
 * it among themselves, for which `pipelineConnect` must be off.
 */
export async function startWebSocketRelay(
  serverHost: (host: string) => string = (host) => host,
): Promise<WebSocketRelay> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  server.on('connection', (socket, { url = '' }) => {
    const address = new URL(url, 'ws://relay').searchParams.get('address') ?? '';
    const [host = '', port] = address.split(':');
    const upstream = connect(Number(port), serverHost(host));
    upstream.on('data', (data) => socket.send(data));
    upstream.on('close', () => socket.close());
    upstream.on('error', () => socket.terminate());
    socket.on('message', (data: RawData) => {
      upstream.write(Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as ArrayBuffer));
    });
    socket.on('close', () => upstream.end());
    socket.on('error', () => upstream.destroy());
  });
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the relay has no port');
  return {
    address: `127.0.0.1:${bound.port}`,
    stop: async () => {
      for (const client of server.clients) client.terminate();
      server.close();
      await once(server, 'close');
    },
  };
}
