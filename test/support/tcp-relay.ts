import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface TcpRelay {
  port: number;
  /** The same address by way of the relay. */
  through(url: string): string;
  /** From now on nothing passes, in either direction; connections stay open and are accepted. */
  freeze(): void;
  /** Every connection is reset, and new ones are as soon as they are made. */
  cut(): void;
  /** The next connections, so many, come to nothing: reset, or taken and never answered. */
  lose(count: number, how: 'reset' | 'silent'): void;
  /** Each stretch of bytes takes so long to pass, in either direction. */
  slow(pace: Pace): void;
  /** Everything passes again, with what was held back. */
  heal(): void;
  stop(): Promise<void>;
}

export interface Pace {
  latencyMs: number;
  bytesPerSecond: number;
}

/** Stands between a client and a real server, so that a test can be the network's bad days. */
export async function startTcpRelay(targetUrl: string): Promise<TcpRelay> {
  const target = new URL(targetUrl);
  const sockets = new Set<Socket>();
  let isCut = false;
  let isFrozen = false;
  let losing = { count: 0, how: 'reset' };
  let pace: Pace | undefined;
  /** Pending while nothing passes. */
  let thawed = Promise.resolve();
  let letPass = () => {};
  const thaw = () => {
    isFrozen = false;
    letPass();
  };

  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  /** Bytes, and the end of them, in order: while the relay is frozen a close does not pass either. */
  async function carry(from: Socket, to: Socket): Promise<void> {
    try {
      for await (const chunk of from.iterator({ destroyOnReturn: false })) {
        await thawed;
        if (pace !== undefined) {
          await sleep(pace.latencyMs + (chunk.length / pace.bytesPerSecond) * 1_000);
          await thawed;
        }
        if (!to.write(chunk)) await drained(to);
      }
      await thawed;
      to.end();
    } catch {
      await thawed;
      to.destroy();
    }
  }
  const server = createServer(async (near) => {
    if (isCut) return void near.resetAndDestroy();
    if (losing.count > 0) {
      losing.count -= 1;
      if (losing.how === 'reset') near.resetAndDestroy();
      else keep(near.resume());
      return;
    }
    keep(near);
    await thawed;
    if (near.destroyed) return;
    const far = connect(Number(target.port), target.hostname);
    keep(far);
    await Promise.all([carry(near, far), carry(far, near)]);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    through: (url) => {
      const via = new URL(url);
      via.hostname = '127.0.0.1';
      via.port = String(port);
      return via.href;
    },
    freeze: () => {
      if (isFrozen) return;
      isFrozen = true;
      thawed = new Promise((resolve) => {
        letPass = resolve;
      });
    },
    cut: () => {
      isCut = true;
      for (const socket of sockets) socket.resetAndDestroy();
    },
    lose: (count, how) => {
      losing = { count, how };
    },
    slow: (to) => {
      pace = to;
    },
    heal: () => {
      isCut = false;
      pace = undefined;
      thaw();
    },
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      thaw();
      await closed;
    },
  };
}

async function drained(socket: Socket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once('drain', resolve).once('close', () => reject(new Error('closed')));
  });
}

/** A server that takes connections and never says a word. */
export async function startSilentServer(): Promise<TcpRelay> {
  const silent = await startTcpRelay('tcp://127.0.0.1:1');
  silent.freeze();
  return silent;
}
