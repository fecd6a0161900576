import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** What stands between the bytes and the app: no route, no log line and no actor is known yet. */
interface Refusal {
  status: 400 | 408 | 413 | 417 | 431;
  type: string;
  title: string;
  detail: string;
}

const refusals: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    type: 'headers-too-large',
    title: 'The headers are too large',
    detail: 'the address and the headers may be 16384 bytes together: send fewer parameters',
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: 413,
    type: 'payload-too-large',
    title: 'The request is too large',
    detail: 'the extensions of a chunk may be 16384 bytes',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    type: 'request-timeout',
    title: 'The request took too long',
    detail: 'the headers must come within 10 s, and the whole request within 20 s',
  },
};

const invalid = (detail: string): Refusal => ({
  status: 400,
  type: 'invalid-request',
  title: 'The request is not valid',
  detail,
});
const noHttp = invalid('this is no HTTP/1.1 request that can be read');
const noMethod = invalid('the method is not known');
const noHost = invalid('the header Host is missing');
const noAddress = invalid('the address or the header Host is not valid');
const noExpectation: Refusal = {
  status: 417,
  type: 'expectation-failed',
  title: 'The expectation cannot be met',
  detail: 'Expect may be 100-continue alone',
};

/** How long the other end may take to read why, before the connection is cut. */
const goodbyeMs = 500;

/**
 * What Node would answer by itself, with an empty body or by hanging up, as every other refusal: a
 * problem with an `X-Request-Id`.
 *
 * @param atWork what is being answered on a connection
 */
export function refuseUnreadable(
  server: Server,
  atWork: (socket: Socket) => ServerResponse | undefined,
): void {
  const tell = (socket: Duplex, refusal: Refusal) => {
    if (!socket.writable) return;
    socket.end(rawAnswer(refusal));
    setTimeout(() => socket.destroy(), goodbyeMs).unref();
  };
  /** Those that came whole before it are answered first: each is executed, whatever followed it. */
  const tellInTurn = (socket: Duplex, refusal: Refusal) => {
    const answering = socket instanceof Socket ? atWork(socket) : undefined;
    if (answering === undefined) tell(socket, refusal);
    else if (answering.req.complete) answering.once('close', () => tellInTurn(socket, refusal));
    else if (!answering.headersSent) tell(socket, refusal);
    else socket.destroy();
  };
  /** What follows on such a connection cannot be read either. */
  const refused = new WeakSet<Duplex>();

  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (refused.has(socket)) return;
    refused.add(socket);
    if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
    const refusal =
      refusals[error.code ?? ''] ?? (error.code === 'HPE_INVALID_METHOD' ? noMethod : noHttp);
    tellInTurn(socket, refusal);
  });
  server.on('connect', (_, socket) => tell(socket, noMethod));
  server.on('checkExpectation', (request, response) => refuse(request, response, noExpectation));
}

/** Whether a request names no host, as HTTP/1.1 asks for: it is answered. */
export function refuseWithoutHost(request: IncomingMessage, response: ServerResponse): boolean {
  if (request.headers.host !== undefined || request.httpVersion !== '1.1') return false;
  refuse(request, response, noHost);
  return true;
}

/** The answer to an address that no URL can be made of. */
export function addressRefused(request: IncomingMessage | undefined): Response {
  return new Response(bodyOf(noAddress, request?.url), {
    status: noAddress.status,
    headers: { 'Content-Type': contentType, 'X-Request-Id': requestIdOf(request) },
  });
}

function refuse(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
  response
    .writeHead(refusal.status, {
      'Content-Type': contentType,
      'X-Request-Id': requestIdOf(request),
      Connection: 'close',
    })
    .end(bodyOf(refusal, request.url));
}

function rawAnswer(refusal: Refusal): string {
  const body = bodyOf(refusal);
  return [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
    `Date: ${new Date().toUTCString()}`,
    `Content-Type: ${contentType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${randomUUID()}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}

const contentType = 'application/problem+json';

/** Of what cannot be read no path is known. */
function bodyOf({ type, title, status, detail }: Refusal, url = '/'): string {
  const instance = url.split('?')[0] ?? '/';
  return JSON.stringify({
    type: `urn:analytics:problem:${type}`,
    title,
    status,
    detail,
    instance,
  });
}

const requestIdForm = /^[A-Za-z0-9._:-]{1,128}$/;

/** The caller's own where it is well formed, as in the app. */
function requestIdOf(request: IncomingMessage | undefined): string {
  const given = request?.headers['x-request-id'];
  return typeof given === 'string' && requestIdForm.test(given) ? given : randomUUID();
}
