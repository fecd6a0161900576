import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../../shared/platform/errors.ts';

/** Another version finds other things: what is known was known of this one. */
const version = '4.32.5';
const folder = fileURLToPath(
  new URL(`../../node_modules/.cache/schemathesis-${version}/`, import.meta.url),
);
const program = `${folder}bin/schemathesis`;
const installMaxMs = 120_000;
/** Its cases are counted, so this is for one that hangs: 3,000 took 35 s, and 60 s beside other work. */
const runMaxMs = 180_000;

/** One kind of failure of one operation, with the first answer that showed it. */
export interface Complaint {
  code: string;
  operation: string;
  /** The `detail` of the problem that was answered; empty where there was none. */
  detail: string;
}

/** `coverage` goes through each rule of each schema, which is nine cases in ten. */
export type Phase = 'examples' | 'coverage' | 'fuzzing' | 'stateful';

/** Makes sure that schemathesis is there, from pip where it is not. False, with a word, where it cannot be had. */
export async function ensureSchemathesis(): Promise<boolean> {
  if (existsSync(program)) return true;
  try {
    await run('python3', ['-m', 'venv', '--clear', folder], installMaxMs);
    await run(`${folder}bin/pip`, ['install', '--quiet', `schemathesis==${version}`], installMaxMs);
    return true;
  } catch (error) {
    console.log(
      `schemathesis ${version} cannot be had by pip, so it is left out: ${messageOf(error)}`,
    );
    return false;
  }
}

/**
 * Asks a service whatever its document allows, and what it forbids, the same each time.
 *
 * @throws Error with its words where it did not come to its end
 */
export async function schemathesis(
  documentUrl: string,
  headers: Readonly<Record<string, string>>,
  phases: readonly Phase[],
): Promise<Complaint[]> {
  const said = await run(
    program,
    [
      'run',
      documentUrl,
      ...Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
      ...[
        '--phases',
        phases.join(),
        '--checks',
        'all',
        '--seed',
        '15',
        '--max-examples',
        '3',
        '--no-shrink',
      ],
      ...['--continue-on-failure', '--request-timeout', '10', '--output-truncate', 'false'],
    ],
    runMaxMs,
  );
  if (!/^ +Tested: [1-9]/m.test(said)) throw new Error(`schemathesis tested nothing: ${said}`);
  if (/^=+ ERRORS =+$/m.test(said)) throw new Error(`schemathesis did not come through: ${said}`);
  return complaintsIn(said);
}

/** Each has a line with the operation between underscores, then one with the code, then the answer. */
function complaintsIn(said: string): Complaint[] {
  const complaints: Complaint[] = [];
  let operation = '';
  for (const line of said.split('\n')) {
    operation = /^_+ (.+?) _+$/.exec(line)?.[1] ?? operation;
    const code = /^- (ST\d+) /.exec(line)?.[1];
    if (code !== undefined) complaints.push({ code, operation, detail: '' });
    const detail = /"detail":"((?:[^"\\]|\\.)*)"/.exec(line)?.[1];
    const last = complaints.at(-1);
    if (detail !== undefined && last !== undefined) last.detail ||= detail;
  }
  return complaints;
}

/** What a program prints; that it found something is no failure of its own. */
function run(command: string, args: readonly string[], timeoutMs: number): Promise<string> {
  const found = 1;
  return new Promise((resolve, reject) => {
    execFile(
      command,
      args,
      {
        // It leaves notes of its own where it runs.
        cwd: tmpdir(),
        encoding: 'utf8',
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: 64 * 1024 * 1024,
        env: { ...process.env, COLUMNS: '200', NO_COLOR: '1' },
      },
      (error, stdout, stderr) => {
        if (error === null || (command === program && error.code === found)) resolve(stdout);
        else
          reject(
            new Error(
              `${command}: ${error.killed ? `longer than ${timeoutMs} ms` : stderr || stdout}`,
            ),
          );
      },
    );
  });
}
