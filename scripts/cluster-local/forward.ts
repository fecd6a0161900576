import {
  Agent,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request,
  type ServerResponse,
} from 'node:http';
import { pipeline } from 'node:stream/promises';
import { messageOf } from '../../shared/platform/errors.ts';

export interface Upstream {
  port: number;
  /** The Host that the pod sees. */
  authority: string;
  path: string;
  /** Beside the caller's, and in place of them. */
  headers?: OutgoingHttpHeaders;
  /** For the whole request. */
  timeoutMs: number;
}

/** They are of one connection; `expect` was answered already. */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
]);

/**
 * Hands a request to a pod and its answer back, both as streams. Resolves when it is over, however
 * it ends: what goes wrong before the pod answers is a 502 or 504, later it cuts the connection.
 */
export function forward(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { port, authority, path, headers, timeoutMs }: Upstream,
): Promise<void> {
  // A connection of its own: one that is kept for the next request would be closed by a pod that ends
  // just then. Yet announced as kept, or a pod that answers before it has read the whole body would
  // close at once, and its answer be lost.
  const agent = new Agent({ keepAlive: true });
  return new Promise((resolve) => {
    const sent = request({
      host: '127.0.0.1',
      port,
      method: incoming.method,
      path,
      headers: {
        ...endToEnd(incoming),
        host: authority,
        ...forwardedHeaders(incoming),
        ...headers,
      },
      agent,
    });
    const limit = setTimeout(() => {
      refuse(outgoing, 504, `no answer within ${timeoutMs} ms`);
      sent.destroy();
    }, timeoutMs);
    // Also where the caller went away.
    outgoing.once('close', () => {
      clearTimeout(limit);
      sent.destroy();
      agent.destroy();
      resolve();
    });
    let hasAnswer = false;
    sent.once('response', (answer) => {
      hasAnswer = true;
      outgoing.writeHead(answer.statusCode ?? 502, answer.statusMessage, endToEnd(answer));
      pipeline(answer, outgoing).catch(() => outgoing.destroy());
    });
    sent.on('error', (error) => {
      // An answer may come before the body was read; then this is only that nobody wants the rest.
      if (!hasAnswer) refuse(outgoing, 502, messageOf(error));
    });
    // What nobody wants of the body is read all the same: the caller's connection is free after it.
    outgoing.once('finish', () => incoming.unpipe(sent).resume());
    // Not `pipeline`, which would cut the caller's connection before it hears of a failure.
    incoming.pipe(sent);
  });
}

/** Answers in the platform's name. */
export function refuse(outgoing: ServerResponse, status: number, reason: string): void {
  if (outgoing.headersSent) {
    outgoing.destroy();
    return;
  }
  outgoing.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(`${reason}\n`);
}

function endToEnd({ headersDistinct }: IncomingMessage): OutgoingHttpHeaders {
  const named = (headersDistinct.connection ?? []).flatMap((value) => value.split(','));
  const left = new Set([...hopByHop, ...named.map((name) => name.trim().toLowerCase())]);
  return Object.fromEntries(Object.entries(headersDistinct).filter(([name]) => !left.has(name)));
}

function forwardedHeaders({ headers, socket }: IncomingMessage): OutgoingHttpHeaders {
  const chain = [headers['x-forwarded-for'], socket.remoteAddress].flat();
  return {
    'x-forwarded-for': chain.filter((address) => address !== undefined).join(', '),
    'x-forwarded-proto': 'http',
    ...(headers.host === undefined ? {} : { 'x-forwarded-host': headers.host }),
  };
}
