import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { messageOf } from '../../shared/platform/errors.ts';
import { refuse } from './forward.ts';

export interface Listener {
  readonly port: number;
  /** Takes no more requests; resolves when those under way are over. */
  close(): Promise<void>;
}

/**
 * Serves on a port of the loopback interface; 0 takes a free one.
 *
 * @throws Error with one clear line when the port is taken.
 */
export function listen(
  port: number,
  handle: (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>,
): Promise<Listener> {
  const underWay = new Set<ServerResponse>();
  let whenNone = () => {};
  const server = createServer((incoming, outgoing) => {
    underWay.add(outgoing);
    outgoing.once('close', () => {
      underWay.delete(outgoing);
      if (underWay.size === 0) whenNone();
    });
    handle(incoming, outgoing).catch((error: unknown) => refuse(outgoing, 500, messageOf(error)));
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const isTaken = 'code' in error && error.code === 'EADDRINUSE';
      reject(new Error(isTaken ? `port ${port} is taken: choose another` : messageOf(error)));
    });
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            // A caller may keep its connection for seconds after its answer.
            whenNone = () => server.closeAllConnections();
            if (underWay.size === 0) whenNone();
          }),
      });
    });
  });
}
