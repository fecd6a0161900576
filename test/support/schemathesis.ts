import { ensurePythonTool, type PythonTool, run, toolProgram } from './python-tool.ts';

const tool: PythonTool = {
  name: 'schemathesis',
  version: '4.32.5',
  minors: { oldest: 11, newest: 14 },
};
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

/** Makes sure that schemathesis is there. False, with a word, where it cannot be had. */
export function ensureSchemathesis(): Promise<boolean> {
  return ensurePythonTool(tool);
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
  const { code, stdout, stderr } = await run(
    toolProgram(tool, 'schemathesis'),
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
    { timeoutMs: runMaxMs },
  );
  // 1 says that it found something.
  if (code > 1) throw new Error(`schemathesis: ${stderr || stdout}`);
  if (!/^ +Tested: [1-9]/m.test(stdout)) throw new Error(`schemathesis tested nothing: ${stdout}`);
  if (/^=+ ERRORS =+$/m.test(stdout))
    throw new Error(`schemathesis did not come through: ${stdout}`);
  return complaintsIn(stdout);
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
