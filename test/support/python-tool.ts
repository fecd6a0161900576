import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../../shared/platform/errors.ts';

/** A program of PyPI that judges what the service gives. */
export interface PythonTool {
  name: string;
  /** Another version finds other things: what is known was known of this one. */
  version: string;
  /** Of Python 3: the second number of the oldest and the newest it runs on. */
  minors: { oldest: number; newest: number };
  /** What it needs in another version than pip would choose, as pip reads it. */
  beside?: readonly string[];
}

/** To find Python, to make the environment and to fill it. Two minutes were seen on a busy machine. */
const makeMaxMs = 150_000;

/** Makes sure that a tool is there, from pip where it is not. False, with a word, where it cannot be had. */
export async function ensurePythonTool(tool: PythonTool): Promise<boolean> {
  const folder = toolFolder(tool);
  const wanted = [`${tool.name}==${tool.version}`, ...(tool.beside ?? [])];
  // Written last, so that one that was begun is made anew.
  const note = join(folder, 'made-of.txt');
  if (existsSync(note) && (await readFile(note, 'utf8')) === wanted.join('\n')) return true;
  const endMs = performance.now() + makeMaxMs;
  const step = async (command: string, ...args: string[]) => {
    const timeoutMs = Math.max(1, Math.round(endMs - performance.now()));
    const { code, stdout, stderr } = await run(command, args, { timeoutMs });
    if (code !== 0) throw new Error(`${command} ${args[0]}: ${stderr.trim() || stdout.trim()}`);
    return stdout.trim();
  };
  try {
    await step(await findPython(tool.minors, step), '-m', 'venv', '--clear', folder);
    const sparingly = ['--quiet', '--prefer-binary', '--retries=1'];
    await step(toolProgram(tool, 'pip'), 'install', ...sparingly, ...wanted);
    await writeFile(note, wanted.join('\n'));
    return true;
  } catch (error) {
    console.log(`${wanted[0]} cannot be had by pip, so it is left out: ${messageOf(error)}`);
    return false;
  }
}

/** A program that came with a tool. */
export function toolProgram(tool: PythonTool, program: string): string {
  return join(toolFolder(tool), 'bin', program);
}

function toolFolder({ name, version }: PythonTool): string {
  return fileURLToPath(new URL(`../../node_modules/.cache/${name}-${version}/`, import.meta.url));
}

/**
 * The first Python of a fitting version: by its names, then among those of pyenv, whose names may
 * stand for nothing.
 *
 * @throws Error where there is none
 */
async function findPython(
  { oldest, newest }: PythonTool['minors'],
  ask: (command: string, ...args: string[]) => Promise<string>,
): Promise<string> {
  const minors = Array.from({ length: newest - oldest + 1 }, (_, index) => newest - index);
  const names = ['python3', ...minors.map((minor) => `python3.${minor}`)];
  for (const candidates of [async () => names, () => pyenvPythons(ask)]) {
    for (const python of await candidates()) {
      const minor = await ask(
        python,
        '-c',
        'import sys, venv, ensurepip; print(sys.version_info[1])',
      )
        .then(Number)
        .catch(() => Number.NaN);
      if (minor >= oldest && minor <= newest) return python;
    }
  }
  throw new Error(`no Python of 3.${oldest} to 3.${newest} was found`);
}

async function pyenvPythons(
  ask: (command: string, ...args: string[]) => Promise<string>,
): Promise<string[]> {
  try {
    const versions = join(await ask('pyenv', 'root'), 'versions');
    return (await readdir(versions)).map((version) => join(versions, version, 'bin', 'python3'));
  } catch {
    return [];
  }
}

/** What a program said at its end. */
export interface Said {
  code: number;
  stdout: string;
  stderr: string;
}

/**
 * Runs a program to its end; that it found something is no failure of its own.
 *
 * @throws Error where it did not start or did not end in time
 */
export function run(
  command: string,
  args: readonly string[],
  // Many leave notes of their own where they run.
  { timeoutMs, cwd = tmpdir() }: { timeoutMs: number; cwd?: string },
): Promise<Said> {
  return new Promise((resolve, reject) => {
    execFile(
      command,
      args,
      {
        cwd,
        encoding: 'utf8',
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: 64 * 1024 * 1024,
        env: { ...process.env, COLUMNS: '200', NO_COLOR: '1', PYTHONUTF8: '1' },
      },
      (error, stdout, stderr) => {
        if (error === null) resolve({ code: 0, stdout, stderr });
        else if (error.killed) reject(new Error(`${command}: longer than ${timeoutMs} ms`));
        else if (typeof error.code === 'number') resolve({ code: error.code, stdout, stderr });
        else reject(new Error(`${command}: ${error.signal ?? error.message}`));
      },
    );
  });
}
