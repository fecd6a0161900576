import { readdirSync, readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';
import { vi } from 'vitest';

const corpusFolder = new URL('../corpus/', import.meta.url);

// Of whoever uses this: many runs take their time.
vi.setConfig({ testTimeout: 900_000 });

/**
 * How often a property is tried: `few` times in `npm test`, ten times that with TEST_FULL, and
 * FUZZ_TIMES times that where it is given. Examples of the corpus run first, beside these.
 */
export function fuzzRuns<Example>(few: number, examples: Example[] = []) {
  const { FUZZ_TIMES, FUZZ_SEED, TEST_FULL } = process.env;
  const times = Number(FUZZ_TIMES ?? (TEST_FULL === '1' ? 10 : 1));
  return {
    examples,
    numRuns: few * times + examples.length,
    ...(FUZZ_SEED === undefined ? {} : { seed: Number(FUZZ_SEED) }),
  };
}

/** The files of a folder of the corpus: each an input, named by what it is. */
export function corpusFiles(folder: string): [name: string, bytes: Buffer][] {
  const from = new URL(`${folder}/`, corpusFolder);
  return readdirSync(from)
    .sort()
    .map((name) => [name, readFileSync(new URL(name, from))]);
}

/** The lines of a file of the corpus, without those that are empty or begin with #. */
export function corpusLines(file: string): string[] {
  const text = readFileSync(new URL(file, corpusFolder), 'utf8');
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

/**
 * What synchronous work gives; work that hangs is stopped. The limit says nothing of speed: what is
 * quadratic in the inputs it is used with takes a hundred times longer.
 *
 * @throws Error once 20 s are over.
 */
export function orHangs<T>(work: () => T): T {
  let result: { value: T } | undefined;
  const run = () => {
    result = { value: work() };
  };
  runInContext('run()', createContext({ run }), { timeout: 20_000 });
  if (result === undefined) throw new Error('the work did not end');
  return result.value;
}
