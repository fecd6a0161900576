import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { parse, stringify } from 'yaml';
import * as z from 'zod';
import { type KubernetesObject, parseObjects } from '../../scripts/knative/render.ts';
import {
  groupList,
  type Kind,
  kindAt,
  openApi,
  openApiIndex,
  resourceList,
} from './kubernetes-discovery.ts';
import { isSelected } from './kubernetes-selector.ts';

export interface KubernetesApi {
  /** A file for KUBECONFIG, by which kubectl finds this server. */
  kubeconfig: string;
  /** What the cluster holds now. A test may change it too. */
  objects: KubernetesObject[];
  /** Each request that would change something, such as `PATCH /apis/…`, in order. */
  writes: string[];
  close(): Promise<void>;
}

export interface KubernetesApiOptions {
  objects: readonly KubernetesObject[];
  /** The lines that a container has logged. */
  logs?: (pod: string, container: string) => string[];
}

/**
 * Stands in for a cluster's API server before the real kubectl: it announces kinds with the names
 * that kubectl takes for them, and lists, creates, patches and deletes objects. There are no
 * controllers and no checks of fields behind it, and a watch never has news.
 */
export async function startKubernetesApi({
  objects: given,
  logs = () => [],
}: KubernetesApiOptions): Promise<KubernetesApi> {
  const objects = given.map(created);
  const writes: string[] = [];
  const app = new Hono();
  app.use(async ({ req }, next) => {
    if (req.method !== 'GET') writes.push(`${req.method} ${req.path}`);
    await next();
  });
  app.get('/version', (c) => c.json({ major: '1', minor: '32', gitVersion: 'v1.32.0' }));
  app.get('/api', (c) => c.json({ kind: 'APIVersions', versions: ['v1'] }));
  app.get('/apis', (c) => c.json(groupList()));
  app.get('/openapi/v3', (c) => c.json(openApiIndex()));
  app.get('/openapi/v3/:version', (c) => c.json(openApi(apiVersionOf(c))));
  app.get('/openapi/v3/:group/:version', (c) => c.json(openApi(apiVersionOf(c))));
  for (const base of ['/api/:version', '/apis/:group/:version']) {
    app.get(base, (c) => c.json(resourceList(apiVersionOf(c))));
    for (const collection of [`${base}/:plural`, `${base}/namespaces/:namespace/:plural`]) {
      app.get(collection, (c) => {
        const { labelSelector = '', fieldSelector = '', watch } = c.req.query();
        if (watch !== undefined) return c.body(new ReadableStream(), 200, json);
        const { apiVersion, kind } = kindOf(c);
        const items = ofKind(c).filter((one) => isSelected(one, labelSelector, fieldSelector));
        return c.json({ apiVersion, kind: `${kind}List`, metadata: {}, items });
      });
      app.post(collection, async (c) => {
        const object = placed(await bodyOf(c), c);
        const { name } = object.metadata;
        if (ofKind(c).some(({ metadata }) => metadata.name === name)) {
          throw refusal(409, 'AlreadyExists', `"${name}" already exists`);
        }
        objects.push(object);
        return c.json(object, 201);
      });
      app.get(`${collection}/:name`, (c) => c.json(find(c)));
      app.patch(`${collection}/:name`, async (c) => {
        const change = await bodyOf(c);
        // What is applied on the server's side may be new.
        const old = isApply(c) ? lookUp(c) : find(c);
        const patched = old === undefined ? placed(change, c) : objectOf(merged(old, change));
        objects.splice(old === undefined ? objects.length : objects.indexOf(old), 1, patched);
        return c.json(patched, old === undefined ? 201 : 200);
      });
      app.delete(`${collection}/:name`, (c) => {
        objects.splice(objects.indexOf(find(c)), 1);
        return c.json({ apiVersion: 'v1', kind: 'Status', status: 'Success' });
      });
    }
  }

  app.get('/api/:version{v1}/namespaces/:namespace/:plural{pods}/:name/log', (c) => {
    const { metadata, spec } = podForm.parse(find(c));
    const { container = spec.containers[0].name, tailLines } = c.req.query();
    if (!spec.containers.some(({ name }) => name === container)) {
      throw refusal(400, 'BadRequest', `container ${container} is not in pod ${metadata.name}`);
    }
    const lines = logs(metadata.name, container);
    // Of pods chosen by their labels, kubectl asks for the last 10 lines unless told otherwise.
    const shown = tailLines === undefined ? lines : lines.slice(-Number(tailLines));
    return c.text(shown.map((line) => `${line}\n`).join(''));
  });
  app.notFound(() => refusal(404, 'NotFound', 'nothing is served at this path').getResponse());

  function ofKind(c: Context): KubernetesObject[] {
    const { apiVersion, kind } = kindOf(c);
    const namespace = c.req.param('namespace');
    return objects.filter(
      (one) =>
        one.apiVersion === apiVersion &&
        one.kind === kind &&
        (namespace === undefined || one.metadata.namespace === namespace),
    );
  }
  function lookUp(c: Context): KubernetesObject | undefined {
    return ofKind(c).find(({ metadata }) => metadata.name === c.req.param('name'));
  }
  function find(c: Context): KubernetesObject {
    const found = lookUp(c);
    if (found !== undefined) return found;
    const { plural, name } = c.req.param();
    throw refusal(404, 'NotFound', `${plural} "${name}" not found`);
  }

  const server = createServer(getRequestListener(app.fetch));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const folder = await mkdtemp(join(tmpdir(), 'analytics-kubernetes-'));
  const kubeconfig = join(folder, 'config');
  await writeFile(kubeconfig, configFor(`http://127.0.0.1:${port}`));
  return {
    kubeconfig,
    objects,
    writes,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    },
  };
}

const json = { 'Content-Type': 'application/json' };

const podForm = z.object({
  metadata: z.object({ name: z.string() }),
  spec: z.object({
    containers: z.tuple([z.object({ name: z.string() })], z.object({ name: z.string() })),
  }),
});

function apiVersionOf(c: Context): string {
  const { group, version = '' } = c.req.param();
  return group === undefined ? version : `${group}/${version}`;
}

function kindOf(c: Context): Kind {
  const { plural = '' } = c.req.param();
  const kind = kindAt(apiVersionOf(c), plural);
  if (kind === undefined) throw refusal(404, 'NotFound', 'no such kind of object');
  return kind;
}

const isApply = (c: Context) => c.req.header('content-type') === 'application/apply-patch+yaml';

/** An object, or what is to change of one. */
async function bodyOf(c: Context): Promise<unknown> {
  // JSON is YAML too.
  return parse(await c.req.text());
}

function objectOf(value: unknown): KubernetesObject {
  const [object] = parseObjects(JSON.stringify(value));
  if (object === undefined) throw refusal(400, 'BadRequest', 'no object');
  return object;
}

/** A new object in the request's namespace. */
function placed(body: unknown, c: Context): KubernetesObject {
  const namespace = c.req.param('namespace');
  return created(objectOf(merged({ metadata: namespace ? { namespace } : {} }, body)));
}

/** With what an API server adds to each new object. */
function created(object: KubernetesObject): KubernetesObject {
  const { metadata } = object;
  const creationTimestamp = new Date().toISOString();
  return { ...object, metadata: { uid: randomUUID(), creationTimestamp, ...metadata } };
}

/** JSON merge patch (RFC 7396), to which the other kinds of patch come down as long as no list changes. */
function merged(old: unknown, change: unknown): unknown {
  if (!isRecord(change)) return change;
  const result: Record<string, unknown> = isRecord(old) ? { ...old } : {};
  for (const [key, value] of Object.entries(change)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refusal(code: 400 | 404 | 409, reason: string, message: string): HTTPException {
  const status = { apiVersion: 'v1', kind: 'Status', status: 'Failure', code, reason, message };
  return new HTTPException(code, { res: Response.json(status, { status: code }) });
}

function configFor(server: string): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    users: [{ name: 'test', user: {} }],
    'current-context': 'test',
  });
}
