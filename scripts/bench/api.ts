import { Agent, request } from 'node:http';

/** Who the bench is, for routes that ask. */
export const actorHeaders = { 'X-Actor-Subject': 'bench', 'X-Actor-Roles': 'admin' };

export interface ApiClient {
  /** @throws Error for any answer but a 2xx, with its body. */
  send(
    path: string,
    options?: { method?: string; headers?: object; body?: string },
  ): Promise<string>;
  close(): void;
}

/** Kept connections and no more work than node:http's own: the client's share of a figure is small. */
export function openApi(url: string, connectionsMax = 1): ApiClient {
  const agent = new Agent({ keepAlive: true, maxSockets: connectionsMax });
  return {
    send: (path, { method = 'GET', headers = {}, body } = {}) =>
      new Promise((resolve, reject) => {
        const sent = request(
          `${url}${path}`,
          { agent, method, headers: { ...actorHeaders, ...headers } },
          (response) => {
            const chunks: Buffer[] = [];
            response.on('data', (chunk: Buffer) => chunks.push(chunk));
            response.once('error', reject);
            response.once('end', () => {
              const text = Buffer.concat(chunks).toString();
              const status = response.statusCode ?? 0;
              if (status >= 200 && status < 300) resolve(text);
              else reject(new Error(`${method} ${path}: ${status} ${text}`));
            });
          },
        );
        sent.once('error', reject);
        sent.end(body);
      }),
    close: () => agent.destroy(),
  };
}

/** The event that a schedule sends to a function of ours. */
export function pingOf(job: string): { method: string; headers: object; body: string } {
  return {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      'ce-specversion': '1.0',
      'ce-type': 'dev.knative.sources.ping',
      'ce-source': '/bench',
      'ce-id': `${job}-${performance.now()}`,
    },
    body: JSON.stringify({ job }),
  };
}
