import { runCommand } from '../services/run-command.ts';

/** A program that people need beside Node's packages. */
export interface Tool {
  name: string;
  /** What makes it say its version. */
  version: readonly string[];
  /** Finds that in what it says; by default the first number with a dot. */
  pattern?: RegExp;
  /** The oldest version that will do, as short as can be: 1.15 is older than 1.15.0. */
  least: string;
  /** What cannot be done without it. */
  purpose: string;
  /** How to get it. */
  get: string;
}

export interface Finding {
  isThere: boolean;
  /** One line: the version, or what to do. */
  words: string;
}

const { compare } = new Intl.Collator('en', { numeric: true });

/** Asks a program for its version. */
export async function findTool(tool: Tool): Promise<Finding> {
  const { name, version, pattern = /(\d+(?:\.\d+)+)/, least, purpose, get } = tool;
  const said = await runCommand(name, version, { timeoutMs: 20_000 }).catch(() => '');
  const found = pattern.exec(said)?.[1];
  if (found === undefined) {
    return { isThere: false, words: `${name} is missing, for ${purpose}: ${get}` };
  }
  if (isOlder(found, least)) {
    const words = `${name} ${found} is too old for ${purpose}, which takes ${least}: ${get}`;
    return { isThere: false, words };
  }
  return { isThere: true, words: `${name} ${found}` };
}

export function isOlder(version: string, least: string): boolean {
  return compare(version, least) < 0;
}
