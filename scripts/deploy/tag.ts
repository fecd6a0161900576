import { runCommand } from '../services/run-command.ts';
import { root } from './step.ts';

/**
 * The short commit; with `-dirty-` and the time where files differ from it, as two such images may
 * differ from each other.
 *
 * @throws Error with the way out where this is no checkout of git.
 */
export async function tagOfCheckout(now = new Date()): Promise<string> {
  try {
    const commit = (await git('rev-parse', '--short=12', 'HEAD')).trim();
    if ((await git('status', '--porcelain')).trim() === '') return commit;
    return `${commit}-dirty-${now.toISOString().replaceAll(/[-:]|\..*/g, '')}`;
  } catch (error) {
    throw new Error('no commit to name the images after: give them a tag with --tag', {
      cause: error,
    });
  }
}

function git(...args: string[]): Promise<string> {
  return runCommand('git', args, { cwd: root, timeoutMs: 10_000 });
}
