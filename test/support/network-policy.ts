import { BlockList, isIPv6 } from 'node:net';
import * as z from 'zod';
import type { KubernetesObject } from '../../scripts/knative/render.ts';
import { labelSelector, selects } from './label-selector.ts';

type Labels = Readonly<Record<string, string>>;

/** A pod, or something outside the cluster, which has but an address. */
export interface Endpoint {
  name: string;
  ip: string;
  pod?: { namespace: string; labels: Labels; ports?: Readonly<Record<string, number>> };
}

const peer = z.strictObject({
  podSelector: labelSelector.optional(),
  namespaceSelector: labelSelector.optional(),
  ipBlock: z.strictObject({ cidr: z.string(), except: z.array(z.string()).default([]) }).optional(),
});
const port = z.strictObject({
  protocol: z.enum(['TCP', 'UDP']).default('TCP'),
  port: z.union([z.int(), z.string()]).optional(),
  endPort: z.int().optional(),
});
const ports = z.array(port).default([]);
const ingress = z.strictObject({ from: z.array(peer).default([]), ports });
const egress = z.strictObject({ to: z.array(peer).default([]), ports });
const policyForm = z.strictObject({
  podSelector: labelSelector,
  policyTypes: z.array(z.enum(['Ingress', 'Egress'])),
  ingress: z.array(ingress).default([]),
  egress: z.array(egress).default([]),
});

export interface Policy extends z.output<typeof policyForm> {
  namespace: string;
}

interface Rule {
  peers: readonly z.output<typeof peer>[];
  ports: z.output<typeof ports>;
}

/** What a connection asks for. */
export interface Connection {
  from: Endpoint;
  to: Endpoint;
  port: number;
  protocol?: 'TCP' | 'UDP';
}

/** @throws ZodError for a policy with more in it than Kubernetes knows. */
export function readPolicies(objects: readonly KubernetesObject[]): Policy[] {
  return objects
    .filter(({ kind }) => kind === 'NetworkPolicy')
    .map(({ metadata, spec }) => ({
      ...policyForm.parse(spec),
      namespace: metadata.namespace ?? 'default',
    }));
}

/**
 * Whether policies let a connection through: out of its pod and into the other. A pod that no
 * policy selects is open; for one that some do, what any of them allows is allowed. Probes are not
 * asked about: what comes from a pod's own node always gets in.
 */
export function allows(policies: readonly Policy[], connection: Connection): boolean {
  const { from, to } = connection;
  const out = selecting(policies, from, 'Egress').map(({ egress: rules }) =>
    rules.map((rule): Rule => ({ peers: rule.to, ports: rule.ports })),
  );
  const into = selecting(policies, to, 'Ingress').map(({ ingress: rules }) =>
    rules.map((rule): Rule => ({ peers: rule.from, ports: rule.ports })),
  );
  const passes = (all: Rule[][], other: Endpoint, home: string | undefined) =>
    all.length === 0 ||
    all
      .flat()
      .some(
        (rule) =>
          (rule.peers.length === 0 || rule.peers.some((one) => isPeer(one, other, home))) &&
          (rule.ports.length === 0 || rule.ports.some((one) => isPort(one, connection))),
      );
  return passes(out, to, from.pod?.namespace) && passes(into, from, to.pod?.namespace);
}

function selecting(
  policies: readonly Policy[],
  { pod }: Endpoint,
  type: 'Ingress' | 'Egress',
): Policy[] {
  if (pod === undefined) return [];
  return policies.filter(
    ({ namespace, podSelector, policyTypes }) =>
      namespace === pod.namespace && policyTypes.includes(type) && selects(podSelector, pod.labels),
  );
}

/** @param home the namespace that a peer without a namespaceSelector means */
function isPeer(
  { podSelector, namespaceSelector, ipBlock }: z.output<typeof peer>,
  { ip, pod }: Endpoint,
  home: string | undefined,
): boolean {
  // A block of addresses that holds the cluster's own lets its pods in, too.
  if (ipBlock !== undefined) {
    return within(ipBlock.cidr, ip) && !ipBlock.except.some((cidr) => within(cidr, ip));
  }
  if (pod === undefined) return false;
  const isThere =
    namespaceSelector === undefined
      ? pod.namespace === home
      : selects(namespaceSelector, namespaceLabels(pod.namespace));
  return isThere && (podSelector === undefined || selects(podSelector, pod.labels));
}

/** The one that every cluster sets; a policy that goes by another trusts who may set labels. */
function namespaceLabels(namespace: string): Labels {
  return { 'kubernetes.io/metadata.name': namespace };
}

function isPort(
  { protocol, port: wanted, endPort }: z.output<typeof port>,
  { to, port: asked, protocol: spoken = 'TCP' }: Connection,
): boolean {
  if (protocol !== spoken) return false;
  if (wanted === undefined) return true;
  const first = typeof wanted === 'string' ? to.pod?.ports?.[wanted] : wanted;
  return first !== undefined && asked >= first && asked <= (endPort ?? first);
}

function within(cidr: string, ip: string): boolean {
  const [net = '', bits = ''] = cidr.split('/');
  const family = isIPv6(net) ? 'ipv6' : 'ipv4';
  const block = new BlockList();
  block.addSubnet(net, Number(bits), family);
  return block.check(ip, isIPv6(ip) ? 'ipv6' : 'ipv4');
}
