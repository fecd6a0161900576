import type { Settings } from '../../shared/platform/env.ts';
import { exitCodes } from '../cli/failure.ts';
import { say, sayJson } from '../cli/output.ts';
import { printableLines } from '../cli/printable.ts';
import { openProgress } from '../cli/progress.ts';
import type { ReplayOptions } from './options.ts';
import { replay } from './run.ts';
import { isWhole, summaryOf } from './summary.ts';

/** @returns 1 unless every row of the file is known, or may be taken, to be stored */
export async function runReplay(
  options: ReplayOptions,
  settings: Settings,
  json: boolean,
): Promise<number> {
  const progress = openProgress('replay', 'rows');
  try {
    const report = await replay(options, settings, {
      onNote: progress.note,
      onStart: progress.start,
      onProgress: progress.update,
    });
    progress.stop();
    if (json) sayJson({ isWhole: isWhole(report), ...report });
    else say(printableLines(summaryOf(report)));
    return isWhole(report) ? exitCodes.done : exitCodes.failed;
  } finally {
    progress.stop();
  }
}
