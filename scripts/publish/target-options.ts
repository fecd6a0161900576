import type { Command } from 'commander';
import * as z from 'zod';
import type { Settings } from '../../shared/platform/env.ts';
import { actorOf, apiForm, urlOf, withApi } from '../cli/api-options.ts';
import { UsageError } from '../cli/failure.ts';
import { type TargetOptions, targetKinds } from './target.ts';

/** Where a command sends its events. */
export function withTarget(command: Command): Command {
  return withApi(
    command.option(
      '--to <target>',
      'stream or http (default: stream with RABBITMQ_URL, else http)',
    ),
  );
}

export const targetForm = z.object({
  ...apiForm.shape,
  to: z.enum(targetKinds, 'must be stream or http').optional(),
});

/** @throws UsageError for the stream where no broker is set */
export function targetOf(options: z.output<typeof targetForm>, settings: Settings): TargetOptions {
  const hasStream = settings.RABBITMQ_URL !== undefined;
  const to = options.to ?? (hasStream ? 'stream' : 'http');
  if (to === 'stream' && !hasStream) {
    throw new UsageError('--to stream needs RABBITMQ_URL in the environment');
  }
  return { to, url: urlOf(options, () => settings), actor: actorOf(options) };
}
