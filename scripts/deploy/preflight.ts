import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { messageOf } from '../../shared/platform/errors.ts';
import { runCommand } from '../services/run-command.ts';
import { func, kubectl } from '../tools/deploy-tools.ts';
import { findTool, type Tool } from '../tools/tool.ts';
import type { DeployedFunction } from './functions.ts';
import { type CommandLine, root, shellOf } from './step.ts';

/** Something that a deployment would fail for half-way, looked at before it begins. */
export interface Check {
  shell: string;
  /** What is wrong, each with the way out. */
  faults(): Promise<string[]>;
}

/** A round takes for granted what the rounds before it looked at. */
type Rounds = readonly (readonly Check[])[];

const patienceMs = 30_000;

/** What makes images: for those who leave the cluster to Argo CD. */
export function buildChecks(): Rounds {
  return [[toolCheck(func)]];
}

/** What brings them into a cluster as well. */
export function clusterChecks(functions: readonly DeployedFunction[], namespace: string): Rounds {
  return [
    [toolCheck(func), toolCheck(kubectl)],
    [permissionCheck(namespace)],
    [namespaceCheck(namespace), secretsCheck(functions, namespace)],
  ];
}

function toolCheck(tool: Tool): Check {
  return {
    shell: shellOf([tool.name, ...tool.version]),
    faults: async () => {
      const { isThere, words } = await findTool(tool);
      return isThere ? [] : [words];
    },
  };
}

/** That the cluster answers, and lets this user in. */
function permissionCheck(namespace: string): Check {
  const may = ['kubectl', 'auth', 'can-i', 'create', 'services.serving.knative.dev'] as const;
  return ask(
    [...may, '--namespace', namespace],
    () => [],
    (reason) => [
      `the cluster does not let you deploy (${reason}): see kubectl config get-contexts and kubectl auth whoami`,
    ],
  );
}

function namespaceCheck(namespace: string): Check {
  return ask(['kubectl', 'get', 'namespace', namespace, ...quietly], (found) =>
    found.trim() === ''
      ? [`namespace ${namespace} is missing: kubectl create namespace ${namespace}`]
      : [],
  );
}

/** func and the pods would each find it out later, one at a time. */
function secretsCheck(functions: readonly DeployedFunction[], namespace: string): Check {
  const wanted = [...new Set(functions.flatMap(secretsOf))].sort();
  const line: CommandLine = ['kubectl', 'get', 'secret', ...wanted];
  return ask([...line, '--namespace', namespace, ...quietly], (found) => {
    const there = new Set(found.split('\n').map((name) => name.trim().replace('secret/', '')));
    return wanted
      .filter((name) => !there.has(name))
      .map((name) => `Secret ${name} is missing: ${creation(name, namespace)}`);
  });
}

const quietly = ['--ignore-not-found', '--output=name'] as const;

function ask(
  line: CommandLine,
  read: (output: string) => string[],
  refused = (reason: string) => [reason],
): Check {
  const [program, ...args] = line;
  return {
    shell: shellOf(line),
    faults: () =>
      runCommand(program, args, { timeoutMs: patienceMs }).then(read, (error: unknown) =>
        refused(messageOf(error)),
      ),
  };
}

/** The Secrets that a function's func.yaml refers to. */
function secretsOf({ name }: DeployedFunction): string[] {
  const text = readFileSync(join(root, 'functions', name, 'func.yaml'), 'utf8');
  return [...text.matchAll(/\{\{ secret:([a-z0-9-]+):/g)].map(([, secret = '']) => secret);
}

/** With the keys of the example, whose values show what is meant. */
function creation(name: string, namespace: string): string {
  const example = readFileSync(join(root, 'knative/secrets.example.yaml'), 'utf8');
  const secrets = parseAllDocuments(example).map((one) => exampleSecret.parse(one.toJS()));
  const keys = secrets.find(({ metadata }) => metadata.name === name)?.stringData ?? {};
  const values = Object.entries(keys).map(([key, value]) => `--from-literal=${key}=${value}`);
  const create = ['create', 'secret', 'generic', name, '--namespace', namespace];
  return shellOf(['kubectl', ...create, ...values]);
}

const exampleSecret = z.looseObject({
  metadata: z.looseObject({ name: z.string() }),
  stringData: z.record(z.string(), z.string()),
});
