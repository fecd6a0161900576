import { describe, expect, test } from 'vitest';
import { parseObjects } from '../scripts/knative/render.ts';
import { allows, type Endpoint, readPolicies } from './support/network-policy.ts';

const pod = (namespace: string, app: string): Endpoint => ({
  name: app,
  ip: '10.2.0.7',
  pod: { namespace, labels: { app }, ports: { http: 8080 } },
});
const web = pod('ours', 'web');
const store = pod('ours', 'store');
const caller = pod('theirs', 'caller');
const other = pod('theirs', 'other');
const outside: Endpoint = { name: 'outside', ip: '203.0.113.9' };
const inside: Endpoint = { name: 'inside', ip: '203.0.113.200' };

function policies(...specs: string[]) {
  const text = specs.map(
    (spec, index) => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: policy-${index}, namespace: ours }
spec: ${spec}`,
  );
  return readPolicies(parseObjects(text.join('\n---')));
}

const nothing = '{ podSelector: {}, policyTypes: [Ingress, Egress] }';
const toWeb = (rule: string) =>
  `{ podSelector: { matchLabels: { app: web } }, policyTypes: [Ingress], ingress: [${rule}] }`;
const fromWeb = (rule: string) =>
  `{ podSelector: { matchLabels: { app: web } }, policyTypes: [Egress], egress: [${rule}] }`;
const theirs = 'namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: theirs } }';
const callers = 'podSelector: { matchLabels: { app: caller } }';

interface Case {
  name: string;
  policies: string[];
  /** From, to, port. */
  open?: [Endpoint, Endpoint, number][];
  closed?: [Endpoint, Endpoint, number][];
}

const cases: Case[] = [
  { name: 'without a policy all is open', policies: [], open: [[caller, web, 1]] },
  {
    name: 'a policy without rules closes what it selects, in both directions',
    policies: [nothing],
    closed: [
      [caller, web, 80],
      [web, caller, 80],
      [web, outside, 443],
      [web, store, 80],
    ],
    open: [[caller, other, 80]],
  },
  {
    name: 'a policy says nothing of the direction it does not name',
    policies: [toWeb(`{ from: [{ ${theirs} }] }`)],
    open: [[web, outside, 443]],
    closed: [[store, web, 80]],
  },
  {
    name: 'policies add up',
    policies: [nothing, toWeb(`{ from: [{ ${theirs} }], ports: [{ port: 80 }] }`)],
    open: [[caller, web, 80]],
    closed: [
      [caller, web, 81],
      [caller, store, 80],
    ],
  },
  {
    name: 'two selectors of one peer must both hold',
    policies: [nothing, toWeb(`{ from: [{ ${theirs}, ${callers} }] }`)],
    open: [[caller, web, 80]],
    closed: [
      [other, web, 80],
      [pod('ours', 'caller'), web, 80],
    ],
  },
  {
    name: 'of two peers either will do, and a pod alone means the policy’s own namespace',
    policies: [nothing, toWeb(`{ from: [{ ${theirs} }, { ${callers} }] }`)],
    open: [[other, web, 80]],
    closed: [[pod('elsewhere', 'caller'), web, 80]],
  },
  {
    name: 'both ends must agree',
    policies: [nothing, fromWeb('{ to: [{ podSelector: {} }] }')],
    closed: [[web, store, 80]],
  },
  {
    name: 'a rule without peers is for everybody, one without ports for all of them',
    policies: [nothing, toWeb('{ ports: [{ port: 80 }] }'), fromWeb('{}')],
    open: [
      [outside, web, 80],
      [web, outside, 12_345],
    ],
    closed: [[outside, web, 81]],
  },
  {
    name: 'a port may have the name that the pod gives it, or be the first of several',
    policies: [nothing, toWeb('{ ports: [{ port: http }, { port: 9000, endPort: 9002 }] }')],
    open: [
      [caller, web, 8080],
      [caller, web, 9002],
    ],
    closed: [
      [caller, web, 80],
      [caller, web, 9003],
    ],
  },
  {
    name: 'a port without a protocol is one of TCP',
    policies: [nothing, fromWeb('{ ports: [{ port: 53, protocol: UDP }] }')],
    closed: [[web, outside, 53]],
  },
  {
    name: 'a block of addresses holds those that it does not except, pods among them',
    policies: [
      nothing,
      fromWeb('{ to: [{ ipBlock: { cidr: 0.0.0.0/0, except: [203.0.113.128/25] } }] }'),
    ],
    open: [
      [web, outside, 443],
      [web, caller, 443],
    ],
    closed: [[web, inside, 443]],
  },
];

describe.each(cases)('$name', ({ policies: specs, open = [], closed = [] }) => {
  const read = policies(...specs);
  test.each([
    ...open.map((connection) => ({ connection, isOpen: true })),
    ...closed.map((connection) => ({ connection, isOpen: false })),
  ])('$connection.0.name to $connection.1.name:$connection.2', ({ connection, isOpen }) => {
    const [from, to, port] = connection;
    expect(allows(read, { from, to, port })).toBe(isOpen);
  });
});

test('a policy with a word of its own is refused, not passed over', () => {
  expect(() => policies('{ podSelector: {}, policyTypes: [Ingress], ingres: [] }')).toThrow();
  expect(() => policies(toWeb('{ form: [] }'))).toThrow();
  expect(() => policies(toWeb('{ from: [{ podSelectors: {} }] }'))).toThrow();
});
