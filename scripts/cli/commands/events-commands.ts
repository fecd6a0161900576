import type { Command } from 'commander';
import * as z from 'zod';
import { apiForm, jsonForm, withApi, withJson } from '../api-options.ts';
import type { Cli } from '../cli.ts';
import { withExamples } from '../help.ts';

const form = z.object({ ...apiForm.shape, ...jsonForm.shape });
const what = 'one event, a JSON list of them, or one a line; - for standard input';

/** Usage events over HTTP. */
export function addEventsCommands(program: Command, { does }: Cli): void {
  const group = program.command('events').description('usage events: try them, and send them');
  const command = (name: string, description: string) =>
    withJson(withApi(group.command(name).description(description).argument('<file>', what)));

  const validate = command('validate', 'tell everything that is wrong with events; sends none');
  withExamples(validate, [['a file of a producer', 'analytics events validate events.ndjson']]);
  does(validate, form, async (options, [file = '-']) =>
    (await import('../events/hand-over.ts')).validateEvents(options, file),
  );

  const send = command('send', 'send events; a second time changes nothing');
  withExamples(send, [['from another program', 'producer | analytics events send - --json']]);
  does(send, form, async (options, [file = '-']) =>
    (await import('../events/hand-over.ts')).sendEvents(options, file),
  );
}
