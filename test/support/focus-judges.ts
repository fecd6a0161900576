import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';
import { ensurePythonTool, type PythonTool, run, toolProgram } from './python-tool.ts';

/** The official judge of a file, by the rules of FOCUS that it has been taught. */
const validator: PythonTool = {
  name: 'focus-validator',
  version: '2.2.1',
  // It wants numpy 1.26, which is built for no later one.
  minors: { oldest: 12, newest: 12 },
  // What pip chooses for pyarrow needs numpy 2. The other two do the reading and judging.
  beside: ['pyarrow==25.0.0', 'duckdb==1.5.6', 'polars==1.44.2'],
};
/** Tells the version of a file, and what a later one would ask of it. */
const toolkit: PythonTool = {
  name: 'focus-data-toolkit',
  version: '0.14.1',
  minors: { oldest: 11, newest: 14 },
};
/** For one that hangs: a file takes 3 s, 8 s the first time. */
const runMaxMs = 45_000;

/** What of all that FOCUS asks where a provider supports it is supported here. */
const supported = [
  'ACCOUNT_NAMING_SUPPORTED',
  'RESOURCE_TYPE_ASSIGNMENT_SUPPORTED',
  'SUB_ACCOUNT_SUPPORTED',
  'USAGE_MEASUREMENT_SUPPORTED',
];

/** Makes sure that a judge is there. False, with a word, where it cannot be had. */
export const ensureValidator = () => ensurePythonTool(validator);
export const ensureToolkit = () => ensurePythonTool(toolkit);

/**
 * The rules of FOCUS 1.2 that a file breaks, as focus-validator sees it, by their ids. A rule that
 * only says that others are kept is left out: they are there themselves.
 *
 * @throws Error with its words where it did not come to its end
 */
export function brokenRules(csv: string): Promise<string[]> {
  return withFile(csv, async (file) => {
    const python = toolProgram(validator, 'python');
    const where = ['-c', 'import sysconfig; print(sysconfig.get_path("purelib"))'];
    const installed = await run(python, where, { timeoutMs: runMaxMs });
    const { stdout, stderr } = await run(
      toolProgram(validator, 'focus-validator'),
      [
        ...['--data-file', file, '--validate-version', '1.2.0.1', '--block-download'],
        ...['--applicability-criteria', supported.join()],
      ],
      // It looks for its list of currencies beneath the folder that it runs in.
      { timeoutMs: runMaxMs, cwd: installed.stdout.trim() },
    );
    const tally = /^Total: 578 \| Pass: (\d+) \| Fail: (\d+) \|/m.exec(stdout);
    const [passed = 0, failed] = tally?.slice(1).map(Number) ?? [];
    const failures = [...stdout.matchAll(/^- (\S+): violations=\S+; (.*)$/gm)];
    // Of the 578 it skips two thirds: what is not supported, and what it cannot turn into a query.
    if (passed < 150 || failed !== failures.length) {
      throw new Error(`focus-validator did not come through: ${stderr || stdout}`);
    }
    return failures
      .filter(([, , why]) => !/: AND failed - failed child rules: /.test(why ?? ''))
      .map(([, rule = '']) => rule)
      .sort();
  });
}

const detection = z.object({
  dataset: z.string(),
  detected_version: z.string(),
  extension_columns: z.array(z.string()),
  unknown_columns: z.array(z.string()),
});

/** What focus-data-toolkit holds a file for. */
export function detected(csv: string): Promise<z.infer<typeof detection>> {
  return withFile(csv, async (file) => {
    const { stdout, stderr } = await askToolkit('detect', '--format', 'json', file);
    if (stdout === '') throw new Error(`focus-data-toolkit: ${stderr}`);
    return detection.parse(JSON.parse(stdout));
  });
}

/**
 * What focus-data-toolkit has against a file of FOCUS 1.2 once it has made FOCUS 1.4 of it: kinds
 * of fault with their columns, or the reason why it made nothing.
 *
 * @throws Error with its words where it did not come to its end
 */
export function conversionFaults(csv: string): Promise<string[]> {
  return withFile(csv, async (file) => {
    const { code, stdout, stderr } = await askToolkit(
      ...['convert', '--cost-and-usage', file, '--out', `${file}-1.4`],
      // By the columns that are left out it is sure of neither.
      ...['--source-version', '1.2', '--source-dataset', 'cost-and-usage'],
    );
    const refusal = /^error: (.*)$/m.exec(stderr)?.[1];
    if (refusal !== undefined) return [refusal];
    const tally = /^lint \[Cost and Usage\]: (\d+) violation/m.exec(stdout)?.[1];
    const faults = [...stdout.matchAll(/^ {2}\[\w+:(\w+)\] (\S+) /gm)];
    if (code !== (faults.length === 0 ? 0 : 1) || Number(tally ?? 0) !== faults.length) {
      throw new Error(`focus-data-toolkit did not come through: ${stderr || stdout}`);
    }
    return [...new Set(faults.map(([, kind, column]) => `${kind} ${column}`))].sort();
  });
}

function askToolkit(...args: string[]) {
  return run(toolProgram(toolkit, 'focus-toolkit'), args, { timeoutMs: runMaxMs });
}

async function withFile<Result>(
  csv: string,
  use: (file: string) => Promise<Result>,
): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'focus-'));
  try {
    const file = join(folder, 'export.csv');
    await writeFile(file, csv);
    return await use(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}
