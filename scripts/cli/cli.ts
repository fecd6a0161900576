import type { Command } from 'commander';
import type * as z from 'zod';
import { checkOptions } from './command-line.ts';
import { exitCodes } from './failure.ts';

/** What a command does: its exit code, or nothing for 0. */
type Work<Options> = (options: Options, operands: readonly string[]) => Promise<number | undefined>;

/** What commands are defined with. */
export interface Cli {
  /**
   * Gives a command its work. Whatever the work needs it imports by itself, so that nobody waits
   * for the clients of other commands.
   */
  does<Form extends z.ZodType>(command: Command, form: Form, work: Work<z.output<Form>>): void;
}

/** @param onDone takes the exit code of the one command that was called */
export function createCli(onDone: (exitCode: number) => void): Cli {
  return {
    does: (command, form, work) => {
      command.action(async () => {
        const options = checkOptions(command.opts(), form);
        onDone((await work(options, command.args)) ?? exitCodes.done);
      });
    },
  };
}
