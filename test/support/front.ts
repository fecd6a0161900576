import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Hono } from 'hono';
import type { AppEnv } from '../../shared/http/context.ts';

export interface FrontRequest {
  method: string;
  /** With the query. */
  path: string;
  headers: Record<string, string>;
}

export interface FrontOptions {
  /** What the app gets of a request: a gateway names the actor. */
  onRequest?: (request: FrontRequest) => Record<string, string>;
  /** What the caller gets of an answer; null lets it pass as it is. */
  onAnswer?: (request: FrontRequest, answer: Response) => Promise<Response | null>;
}

export interface Front {
  url: string;
  requests: readonly FrontRequest[];
  close(): Promise<void>;
}

/** Something between a caller and the real service: a gateway, or a fault. */
export async function startFront(app: Hono<AppEnv>, options: FrontOptions = {}): Promise<Front> {
  const { onRequest = ({ headers }) => headers, onAnswer = async () => null } = options;
  const requests: FrontRequest[] = [];

  async function answerTo(incoming: IncomingMessage): Promise<Response> {
    const { method = 'GET', url: path = '/' } = incoming;
    const headers = Object.fromEntries(
      Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]),
    );
    const request = { method, path, headers };
    requests.push(request);
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const body = method === 'GET' ? {} : { body: Buffer.concat(chunks) };
    const answer = await app.request(path, { method, headers: onRequest(request), ...body });
    return (await onAnswer(request, answer)) ?? answer;
  }

  const server: Server = createServer(async (incoming, outgoing) => {
    const answer = await answerTo(incoming);
    const body = Buffer.from(await answer.arrayBuffer());
    outgoing.writeHead(answer.status, Object.fromEntries(answer.headers)).end(body);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}
