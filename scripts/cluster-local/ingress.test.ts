import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { until } from '../../test/support/until.ts';
import { freePort } from '../services/free-port.ts';
import { startIngress } from './ingress.ts';
import { virtualService } from './manifests.ts';
import type { Pod } from './pod.ts';
import type { Revision } from './revision.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const routes = virtualService.parse({
  metadata: { name: 'analytics' },
  spec: {
    hosts: ['analytics.example.com'],
    http: [
      { uri: { regex: '/v1/orgs(/[^/]+/usage)?' }, to: 'usage' },
      { uri: { exact: '/v1/events' }, method: { exact: 'POST' }, to: 'events' },
      { uri: { prefix: '/v1/status/' }, to: 'status' },
    ].map(({ to, ...condition }) => ({
      match: [condition],
      rewrite: { authority: `${to}.analytics.svc.cluster.local` },
      route: [{ destination: { host: 'knative-local-gateway' } }],
    })),
  },
});

type Handler = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

/** An ingress before one pod, which stands for every service but those named here. */
async function start(
  handler: Handler,
  { timeoutMs = 5_000, absent = [] as string[], fault = undefined as string | undefined } = {},
): Promise<string> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => server.close());
  const { port } = server.address() as AddressInfo;
  return startAt(port, { timeoutMs, absent, fault });
}

async function startAt(
  port: number,
  { timeoutMs = 5_000, absent = [] as string[], fault = undefined as string | undefined } = {},
): Promise<string> {
  const pod = { port } as Pod;
  const service = {
    timeoutMs,
    use: async (work: (pod: Pod) => Promise<unknown>) => {
      if (fault !== undefined) throw new Error(fault);
      return work(pod);
    },
  } as unknown as Revision;
  const serviceAt = (authority: string) =>
    absent.some((name) => authority.startsWith(name)) ? undefined : service;
  const ingress = await startIngress(routes, serviceAt, 0);
  closers.push(ingress.close);
  return `http://127.0.0.1:${ingress.port}`;
}

const echo: Handler = (incoming, outgoing) => {
  outgoing.setHeader('Content-Type', 'application/json');
  outgoing.end(
    JSON.stringify({ method: incoming.method, url: incoming.url, headers: incoming.headers }),
  );
};

describe('a path', () => {
  test('must match a whole expression, without its query, in the order of the routes', async () => {
    const url = await start(echo);
    const hostOf = async (path: string, init?: RequestInit) => {
      const response = await fetch(`${url}${path}`, init);
      return response.status === 200
        ? ((await response.json()) as { headers: { host: string } }).headers.host.split('.')[0]
        : response.status;
    };
    expect(await hostOf('/v1/orgs')).toBe('usage');
    expect(await hostOf('/v1/orgs/1/usage?start=2026&x=/v1/status/')).toBe('usage');
    expect(await hostOf('/v1/orgs/1/usage/more')).toBe(404);
    expect(await hostOf('/x/v1/orgs')).toBe(404);
    expect(await hostOf('/v1/status/readyz')).toBe('status');
    expect(await hostOf('/v1/events', { method: 'POST' })).toBe('events');
    expect(await hostOf('/v1/events')).toBe(404);
    expect(await hostOf('/')).toBe(404);
  });

  test('whose service is not there, or does not start, answers 503 with the reason', async () => {
    const absent = await start(echo, { absent: ['usage'] });
    const response = await fetch(`${absent}/v1/orgs`);
    expect(response.status).toBe(503);
    expect(await response.text()).toContain('usage.analytics.svc.cluster.local');
    const broken = await start(echo, { fault: 'usage-1 ended before it was ready' });
    const refused = await fetch(`${broken}/v1/orgs`);
    expect([refused.status, await refused.text()]).toEqual([
      503,
      'usage-1 ended before it was ready\n',
    ]);
  });
});

describe('a request', () => {
  test('keeps its method, query, headers and body, and says where it came from', async () => {
    let body = '';
    const url = await start((incoming, outgoing) => {
      incoming.on('data', (chunk) => {
        body += chunk;
      });
      incoming.on('end', () => echo(incoming, outgoing));
    });
    const response = await fetch(`${url}/v1/orgs/1/usage?a=1&a=2&b=%20`, {
      method: 'PATCH',
      headers: { 'X-Actor-Subject': 'me', 'X-Forwarded-For': '192.0.2.1' },
      body: 'text',
    });
    expect(await response.json()).toMatchObject({
      method: 'PATCH',
      url: '/v1/orgs/1/usage?a=1&a=2&b=%20',
      headers: {
        host: 'usage.analytics.svc.cluster.local',
        'x-actor-subject': 'me',
        'x-forwarded-for': '192.0.2.1, 127.0.0.1',
        'x-forwarded-host': new URL(url).host,
        'x-forwarded-proto': 'http',
        'content-length': '4',
      },
    });
    expect(body).toBe('text');
  });

  test('loses what is of its connection alone', async () => {
    const url = await start(echo);
    const answer = new Promise<string>((resolve) => {
      const sent = request(
        `${url}/v1/orgs`,
        { headers: { Connection: 'close, X-Hop', 'X-Hop': '1', TE: 'trailers', 'X-End': '2' } },
        async (incoming) => resolve((await incoming.toArray()).join('')),
      );
      sent.end();
    });
    const { headers } = JSON.parse(await answer) as { headers: Record<string, string> };
    expect(headers).toMatchObject({ 'x-end': '2' });
    expect(Object.keys(headers)).not.toContain('x-hop');
    expect(Object.keys(headers)).not.toContain('te');
  });

  test('of many megabytes passes in both directions as it comes', async () => {
    const url = await start((incoming, outgoing) => incoming.pipe(outgoing));
    const body = Buffer.alloc(20_000_000, 'analytics ');
    const response = await fetch(`${url}/v1/events`, { method: 'POST', body });
    const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
    expect(hash(Buffer.from(await response.arrayBuffer()))).toBe(hash(body));
  });

  test('whose caller goes away is ended at the pod too', async () => {
    let isEnded = false;
    const url = await start((_, outgoing) => {
      outgoing.write('begun');
      outgoing.on('close', () => {
        isEnded = true;
      });
    });
    const calling = new AbortController();
    await fetch(`${url}/v1/orgs`, { signal: calling.signal });
    calling.abort();
    await until('it is ended', async () => isEnded);
  });
});

describe('an answer', () => {
  test('keeps its status, its repeated headers and its pace', async () => {
    const url = await start(async (_, outgoing) => {
      outgoing.writeHead(202, 'Taken', { 'Set-Cookie': ['a=1', 'b=2'], 'Content-Type': 'text/x' });
      outgoing.write('first ');
      await sleep(200);
      outgoing.end('second');
    });
    const response = await fetch(`${url}/v1/orgs`);
    expect([response.status, response.statusText]).toEqual([202, 'Taken']);
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    const chunks: string[] = [];
    for await (const chunk of response.body ?? []) chunks.push(Buffer.from(chunk).toString());
    expect(chunks).toEqual(['first ', 'second']);
  });

  test('before the body was read reaches the caller', async () => {
    const url = await start((_, outgoing) => {
      outgoing.writeHead(413).end('too large');
    });
    const body = Buffer.alloc(1_000_000);
    const response = await fetch(`${url}/v1/events`, { method: 'POST', body });
    expect([response.status, await response.text()]).toEqual([413, 'too large']);
  });

  test('that does not come is a 504, and one that is cut is cut', async () => {
    const silent = await start(() => {}, { timeoutMs: 100 });
    expect((await fetch(`${silent}/v1/orgs`)).status).toBe(504);
    const cut = await start((_, outgoing) => {
      outgoing.writeHead(200, { 'Content-Length': '10' });
      outgoing.write('half');
      setTimeout(() => outgoing.destroy(), 20);
    });
    await expect(fetch(`${cut}/v1/orgs`).then((response) => response.text())).rejects.toThrow();
  });

  test('of a pod that is gone is a 502, with a body on its way as well', async () => {
    const url = await startAt(await freePort());
    expect((await fetch(`${url}/v1/orgs`)).status).toBe(502);
    const body = Buffer.alloc(1_000_000);
    expect((await fetch(`${url}/v1/events`, { method: 'POST', body })).status).toBe(502);
  });
});
