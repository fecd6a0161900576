import { writeSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/** The counts that `scripts/test.mjs` turns into its closing line. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** Counts tests; a file that cannot be loaded or an error outside of any test is a failure too. */
export default class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const descriptor = Number(process.env.TEST_COUNTS_FD);
    if (!(descriptor > 2)) return;
    const counts: Counts = { passed: 0, failed: unhandled.length, skipped: 0 };
    for (const module of modules) {
      counts.failed += module.errors().length;
      for (const suite of module.children.allSuites()) counts.failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        // Still pending when the run was cut short: it did not run, and it did not pass.
        counts[state === 'pending' ? 'skipped' : state]++;
      }
    }
    writeSync(descriptor, JSON.stringify(counts));
  }
}
