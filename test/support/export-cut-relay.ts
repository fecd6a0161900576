import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Stands between a worker and the store, so that a test can cut the line at a chosen byte. */
export interface CutRelay {
  url: string;
  /** Once clients have sent so many more bytes, all connections end; new ones end at once. */
  cutAfter(bytes: number): void;
  /** The next request whose head matches reaches the server, but its answer nobody. */
  loseAnswerTo(request: RegExp): void;
  /** True once it has cut what it was told to. */
  hasCut(): boolean;
  mend(): void;
  stop(): Promise<void>;
}

export async function startCutRelay(targetUrl: string): Promise<CutRelay> {
  const target = new URL(targetUrl);
  const sockets = new Set<Socket>();
  let bytesLeft = Number.POSITIVE_INFINITY;
  let lost: RegExp | null = null;
  let hasCut = false;

  const keep = (socket: Socket, other: () => Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      sockets.delete(socket);
      other().destroy();
    });
  };
  const server = createServer((near) => {
    if (bytesLeft <= 0) {
      hasCut = true;
      near.destroy();
      return;
    }
    const far: Socket = connect(Number(target.port), target.hostname);
    let isMute = false;
    keep(near, () => far);
    keep(far, () => near);
    near.on('data', (chunk) => {
      if (lost?.test(chunk.toString('latin1', 0, 2_000)) === true) {
        lost = null;
        isMute = true;
      }
      far.write(bytesLeft < chunk.length ? chunk.subarray(0, bytesLeft) : chunk);
      bytesLeft -= chunk.length;
      if (bytesLeft > 0) return;
      hasCut = true;
      for (const socket of sockets) socket.destroy();
    });
    far.on('data', (chunk) => {
      if (isMute) {
        // Whatever the server was asked it has done by now.
        hasCut = true;
        near.destroy();
      } else near.write(chunk);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    cutAfter: (bytes) => {
      bytesLeft = bytes;
    },
    loseAnswerTo: (request) => {
      lost = request;
    },
    hasCut: () => hasCut,
    mend: () => {
      bytesLeft = Number.POSITIVE_INFINITY;
      lost = null;
      hasCut = false;
    },
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
