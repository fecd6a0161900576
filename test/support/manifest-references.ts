import * as z from 'zod';
import type { KubernetesObject } from '../../scripts/knative/render.ts';
import { type Node, nodesOf } from './manifest-nodes.ts';

/** Another object that a manifest names. */
export interface Reference {
  path: string;
  /** Of a Secret, which no overlay holds, or of an object of the same overlay. */
  kind: string;
  name: string;
}

const named = z.looseObject({ name: z.string() });
const full = z.looseObject({ kind: z.string(), name: z.string() });

/** Where a name stands, and of which kind it is. */
const places: readonly { path: RegExp; kind: string }[] = [
  { path: /\/(configMapRef|configMapKeyRef)$/, kind: 'ConfigMap' },
  {
    path: /\/(secretRef|secretKeyRef|secretTargetRef\/\d+|authorization\/credentials)$/,
    kind: 'Secret',
  },
  { path: /\/authenticationRef$/, kind: 'TriggerAuthentication' },
];
const bare: readonly { of: string; path: RegExp; kind: string }[] = [
  { of: 'Trigger', path: /^\/spec\/broker$/, kind: 'Broker' },
  { of: 'VirtualService', path: /^\/spec\/gateways\/\d+$/, kind: 'Gateway' },
  { of: '', path: /\/serviceAccountName$/, kind: 'ServiceAccount' },
];

/** Everything that an object refers to by name, or by a host name of the cluster. */
export function referencesOf(object: KubernetesObject): Reference[] {
  return [...nodesOf(object)].flatMap((node) => [
    ...whole(node),
    ...places
      .filter(({ path }) => path.test(node.path))
      .map(({ kind }) => ({ path: node.path, kind, name: named.parse(node.value).name })),
    ...bare
      .filter(({ of, path }) => ['', object.kind].includes(of) && path.test(node.path))
      .map(({ kind }) => ({ path: node.path, kind, name: String(node.value) })),
    ...hosts(node),
  ]);
}

/** `ref`, `subject` and `scaleTargetRef` say for themselves of which kind they are. */
function whole({ path, value }: Node): Reference[] {
  if (!/\/(ref|subject|scaleTargetRef)$/.test(path)) return [];
  // KEDA's default.
  const { kind, name } = full.parse({ kind: 'Deployment', ...Object(value) });
  return [{ path, kind, name }];
}

/** Knative serves a function's host at port 80. */
function hosts({ path, value }: Node): Reference[] {
  if (typeof value !== 'string') return [];
  const found = value.matchAll(/([a-z0-9-]+)\.analytics\.svc(?:\.cluster\.local)?(:\d+)?/g);
  return [...found].map(([, host = '', port = ':80']) => ({
    path,
    kind: 'Service',
    name: port === ':80' ? host : `${host}${port}`,
  }));
}
