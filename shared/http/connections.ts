import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate as nextRound } from 'node:timers/promises';

export interface ConnectionLimits {
  /** An answer that nothing is taken of in so long, or twice as long at most, is given up. */
  stallMs: number;
  /** How long requests under way may still take when the server closes. */
  drainMs: number;
}

type Listener = (request: IncomingMessage, response: ServerResponse) => unknown;

/** What a server's connections have at work, how long that may be held, and how they end. */
export interface Connections {
  /** Stands before a server's listener. */
  oneAtATime(listener: Listener): Listener;
  /** What is at work on a connection. */
  atWork(socket: Socket): ServerResponse | undefined;
  /** Stops listening, lets what is under way finish, and ends each connection after its next answer. */
  close(): Promise<void>;
}

/** Requests that came before the answer to the one before them. No client of today sends so many. */
const waitingMax = 8;

interface AtWork {
  response: ServerResponse;
  waiting: (() => void)[];
  /** More came than may wait: what is behind those is not read. */
  isOver: boolean;
  /** How many bytes of all its answers the other end had taken when it was last looked. */
  taken: number | undefined;
}

/**
 * Requests of one connection are answered one after the other: sent in one packet, 150 of them would
 * have 150 answers in memory, as Node begins each as it is read and can only send them in order.
 */
export function superviseConnections(
  server: Server,
  { stallMs, drainMs }: ConnectionLimits,
): Connections {
  const working = new Map<Socket, AtWork>();
  const open = new Set<Socket>();
  let isClosing = false;
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  // Not by the sockets' own time-outs: who reads nothing could put them off by sending a byte.
  const looking = setInterval(() => {
    for (const [socket, answer] of working) {
      // Not by what is unsent: an answer that is read, and filled up again, has as much each time.
      const unsent = unsentBytes(socket);
      const taken = socket.bytesWritten - unsent;
      if (unsent > 0 && taken === answer.taken) socket.destroy();
      answer.taken = taken;
    }
  }, stallMs).unref();
  server.once('close', () => clearInterval(looking));

  function begin(listener: Listener, request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const waiting = working.get(socket)?.waiting ?? [];
    const isOver = working.get(socket)?.isOver ?? false;
    working.set(socket, { response, waiting, isOver, taken: undefined });
    if (isClosing) sayGoodbye(response);
    response.once('close', () => {
      const done = working.get(socket);
      const next = done?.waiting.shift();
      if (next !== undefined && !isClosing && !socket.destroyed) return next();
      working.delete(socket);
      // Whose head had been sent before said nothing of the end.
      if (isClosing || done?.isOver === true) socket.destroySoon();
    });
    listener(request, response);
  }

  return {
    oneAtATime: (listener) => (request, response) => {
      const busy = working.get(request.socket);
      if (busy === undefined) begin(listener, request, response);
      else if (busy.waiting.length < waitingMax && !busy.isOver) {
        busy.waiting.push(() => begin(listener, request, response));
      } else busy.isOver = true;
    },
    atWork: (socket) => working.get(socket)?.response,
    close: async () => {
      isClosing = true;
      for (const { response } of working.values()) sayGoodbye(response);
      // What has come already is read first: it is under way.
      await nextRound();
      await nextRound();
      await new Promise<void>((closed) => {
        const limit = setTimeout(() => server.closeAllConnections(), drainMs);
        server.close(() => {
          clearTimeout(limit);
          closed();
        });
        // Those that rest. Node takes who has not said a word yet for one whose request is coming.
        for (const socket of open) if (socket.bytesRead === 0) socket.destroy();
      });
    },
  };
}

/** What Node still holds, and what it has given to the system without its being taken yet. */
function unsentBytes(socket: Socket): number {
  const handle: unknown = '_handle' in socket ? socket._handle : null;
  const queued =
    typeof handle === 'object' && handle !== null && 'writeQueueSize' in handle
      ? Number(handle.writeQueueSize)
      : 0;
  return socket.writableLength + queued;
}

function sayGoodbye(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('Connection', 'close');
}
