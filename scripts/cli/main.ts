import { type Command, CommanderError } from 'commander';
import { messageOf } from '../../shared/platform/errors.ts';
import { createCli } from './cli.ts';
import { wrongUsage } from './command-line.ts';
import { exitCodeOf, exitCodes, UsageError } from './failure.ts';
import { printable } from './printable.ts';
import { analyticsProgram } from './program.ts';

/**
 * Runs the command that `args` name.
 *
 * @returns its exit code; what is wrong is one line on standard error that begins with its name
 */
export async function runAnalytics(args: readonly string[]): Promise<number> {
  let exitCode: number = exitCodes.done;
  const program = analyticsProgram(
    createCli((code) => {
      exitCode = code;
    }),
  );
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (thrown) {
    const error = isMissingCommand(thrown) ? missingCommand(program, args) : wrongUsage(thrown);
    if (error instanceof CommanderError) return error.exitCode;
    const name = program.commands.find((command) => command.name() === args[0])?.name();
    const words = messageOf(error).replace(/\s*\n\s*/g, ' ');
    process.stderr.write(`${name ?? program.name()}: ${printable(words)}\n`);
    return exitCodeOf(error);
  }
}

/**
 * A group that was called alone: commander would print its whole help as a fault. Help that was
 * asked for has the same code, and is none.
 */
function isMissingCommand(error: unknown): boolean {
  return error instanceof CommanderError && error.code === 'commander.help' && error.exitCode !== 0;
}

function missingCommand(program: Command, args: readonly string[]): UsageError {
  let group = program;
  for (const arg of args) {
    group = group.commands.find((command) => command.name() === arg) ?? group;
  }
  if (group === program) return new UsageError('needs a command; see analytics --help');
  const names = group.createHelp().visibleCommands(group);
  const list = names
    .map((command) => command.name())
    .filter((name) => name !== 'help')
    .join(', ')
    .replace(/, ([^,]*)$/, ' or $1');
  return new UsageError(`needs ${list}; see --help`);
}
