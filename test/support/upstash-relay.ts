import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createClient } from '@redis/client';
import * as z from 'zod';

export interface UpstashRelay {
  url: string;
  token: string;
  stop(): Promise<void>;
}

const command = z.array(z.union([z.string(), z.number()]).transform(String)).min(1);
const commands = z.array(command).min(1);

/**
 * Upstash's REST interface in front of a real Redis: POST `/` with a command as a JSON array gives
 * `{result}` or `{error}`, `/pipeline` and `/multi-exec` take several. Asked by `Upstash-Encoding:
 * base64`, every text of an answer but OK is base64.
 */
export async function startUpstashRelay(redisUrl: string): Promise<UpstashRelay> {
  const redis = createClient({ url: redisUrl });
  redis.on('error', () => {});
  await redis.connect();
  const token = 'a-token-of-the-relay';

  type Reply = { result: unknown } | { error: string };
  const run = async (words: string[]): Promise<Reply> => {
    try {
      return { result: await redis.sendCommand(words) };
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) };
    }
  };

  async function answer(request: IncomingMessage): Promise<[number, unknown]> {
    if (request.headers.authorization !== `Bearer ${token}`) {
      return [401, { error: 'WRONGPASS invalid or missing auth token' }];
    }
    const body = await readJson(request);
    const isList = request.url === '/pipeline' || request.url === '/multi-exec';
    const parsed = isList ? commands.safeParse(body) : z.tuple([command]).safeParse([body]);
    if (!parsed.success) return [400, { error: 'ERR failed to parse command' }];
    const replies: Reply[] = [];
    for (const words of parsed.data) replies.push(await run(words));
    const encoded =
      request.headers['upstash-encoding'] === 'base64' ? replies.map(asBase64) : replies;
    if (isList) return [200, encoded];
    const [only] = encoded;
    return [only !== undefined && 'error' in only ? 400 : 200, only];
  }

  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    answer(request).then(
      ([status, body]) => {
        response.writeHead(status, { 'Content-Type': 'application/json' });
        response.end(JSON.stringify(body));
      },
      (error: unknown) => {
        response.writeHead(500).end(String(error));
      },
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    token,
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      redis.destroy();
    },
  };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    return undefined;
  }
}

function asBase64<Reply extends object>(reply: Reply): Reply {
  return 'result' in reply ? { ...reply, result: encode(reply.result) } : reply;
}

function encode(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(encode);
  return typeof value === 'string' && value !== 'OK'
    ? Buffer.from(value).toString('base64')
    : value;
}
