import { request } from 'node:http';

export interface Exchange {
  method: string;
  path: string;
  headers: Readonly<Record<string, string>>;
  body?: Buffer;
}

export interface Answer {
  status: number;
  headers: Readonly<Record<string, string>>;
  body: Buffer;
}

const answerBytesMax = 1_048_576;

/**
 * One request to a port of this machine, on a connection of its own: one that is kept would be
 * closed by a process that ends just when the next request is on its way. Not `fetch`, which keeps
 * connections and does not let the Host header be set.
 *
 * @throws Error of the connection, or when the answer takes longer than `timeoutMs`, or has more
 *   than 1 MiB.
 */
export function exchange(
  port: number,
  { method, path, headers, body }: Exchange,
  timeoutMs: number,
): Promise<Answer> {
  const signal = AbortSignal.timeout(timeoutMs);
  return new Promise((resolve, reject) => {
    const fail = (error: Error) =>
      reject(signal.aborted ? new Error(`no answer within ${timeoutMs} ms`) : error);
    const sent = request(
      { host: '127.0.0.1', port, method, path, headers, agent: false, signal },
      (incoming) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        incoming.on('error', fail);
        incoming.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          bytes += chunk.length;
          if (bytes > answerBytesMax) sent.destroy(new Error('the answer has more than 1 MiB'));
        });
        incoming.on('end', () => {
          const entries = Object.entries(incoming.headersDistinct);
          resolve({
            status: incoming.statusCode ?? 0,
            headers: Object.fromEntries(
              entries.map(([name, values]) => [name, (values ?? []).join(', ')]),
            ),
            body: Buffer.concat(chunks),
          });
        });
      },
    );
    sent.on('error', fail);
    sent.end(body);
  });
}
