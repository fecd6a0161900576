import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Commands run here, and the paths in them start here. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/** One thing that a deployment does. */
export interface Step {
  /** What does the same when it is pasted into a shell at the root of the checkout. */
  shell: string;
  /** @throws Error that says what was not done. */
  run(): Promise<void>;
}

/** Steps that belong together, and what for. */
export interface Stage {
  title: string;
  steps: readonly Step[];
}

export type CommandLine = readonly [program: string, ...args: string[]];

/** A first build fetches its builder image, and a cluster may have to make room. */
const commandMaxMs = 1_800_000;

/**
 * Runs a program to its end; what it prints goes where ours goes.
 *
 * @param whenFailed looked at after a failure, since the program itself does not say what was wrong
 */
export function command(line: CommandLine, whenFailed?: CommandLine): Step {
  const shell = shellOf(line);
  const hint = whenFailed === undefined ? '' : `\n# should that fail: ${shellOf(whenFailed)}`;
  return {
    shell: `${shell}${hint}`,
    run: async () => {
      const fault = await faultOf(line);
      if (fault === null) return;
      if (whenFailed !== undefined) await faultOf(whenFailed);
      throw new Error(`${shell}: ${fault}; nothing after it was done`);
    },
  };
}

/** Writes a file, and the folders on the way to it. */
export function file(path: string, text: string): Step {
  return {
    shell: `mkdir -p ${quoted(dirname(path))}\ncat > ${quoted(path)} <<'EOF'\n${text}EOF`,
    run: async () => {
      await mkdir(join(root, dirname(path)), { recursive: true });
      await writeFile(join(root, path), text);
    },
  };
}

export function shellOf(line: CommandLine): string {
  return line.map(quoted).join(' ');
}

function quoted(word: string): string {
  return /^[\w./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function faultOf([program, ...args]: CommandLine): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, stdio: 'inherit', timeout: commandMaxMs });
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => {
      resolve(code === 0 ? null : signal === null ? `exit code ${code}` : `ended by ${signal}`);
    });
  });
}
