import { readSettings } from '../shared/env.ts';
import { runCommand } from './publish/command-line.ts';
import { readReplayOptions } from './replay/options.ts';
import { openProgress } from './replay/progress.ts';
import { replay } from './replay/run.ts';
import { isWhole, summaryOf } from './replay/summary.ts';

process.exitCode = await runCommand('replay', async () => {
  const settings = readSettings(process.env, { knowsActors: false });
  const options = readReplayOptions(process.argv.slice(2), settings, Date.now());
  const progress = openProgress();
  try {
    const report = await replay(options, settings, {
      onNote: progress.note,
      onStart: progress.start,
      onProgress: progress.update,
    });
    progress.stop();
    console.log(summaryOf(report));
    return isWhole(report) ? 0 : 1;
  } finally {
    progress.stop();
  }
});
