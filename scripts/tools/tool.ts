import { runCommand } from '../services/run-command.ts';

/** A program that people need beside Node's packages. */
export interface Tool {
  name: string;
  /** What makes it say its version. */
  version: readonly string[];
  /** The oldest version that will do, as short as can be: 1.15 is older than 1.15.0. */
  least: string;
  /** What cannot be done without it. */
  purpose: string;
  /** How to get it. */
  get: string;
}

export interface Finding {
  state: 'ok' | 'too old' | 'missing';
  /** One line: the version, or what to do. */
  words: string;
}

export const func: Tool = {
  name: 'func',
  version: ['version'],
  least: '1.15',
  purpose: 'building images and deploying functions',
  get: 'https://knative.dev/docs/functions/install-func (it builds with Docker or Podman)',
};

export const kubectl: Tool = {
  name: 'kubectl',
  version: ['version', '--client', '--output=json'],
  // Kustomize 5.
  least: '1.27',
  purpose: 'deploying',
  get: 'https://kubernetes.io/docs/tasks/tools',
};

const { compare } = new Intl.Collator('en', { numeric: true });

/** Asks a program for its version; the first number with a dot that it says is taken for it. */
export async function findTool({ name, version, least, purpose, get }: Tool): Promise<Finding> {
  const said = await runCommand(name, version, { timeoutMs: 20_000 }).catch(() => null);
  const found = said === null ? undefined : /\d+(\.\d+)+/.exec(said)?.[0];
  if (found === undefined) {
    return { state: 'missing', words: `${name} is missing, for ${purpose}: ${get}` };
  }
  if (compare(found, least) < 0) {
    const words = `${name} ${found} is too old for ${purpose}, which takes ${least}: ${get}`;
    return { state: 'too old', words };
  }
  return { state: 'ok', words: `${name} ${found}` };
}
