import { type Command, Option } from 'commander';
import * as z from 'zod';
import { roles } from '../../shared/access.ts';
import type { Settings } from '../../shared/platform/env.ts';
import type { Actor } from './actor.ts';
import { urlOption, uuidOption } from './command-line.ts';
import { UsageError } from './failure.ts';
import { operatorSettings } from './settings.ts';

/** Where the API is, and who asks it. Every command that asks the API has them. */
export function withApi(command: Command): Command {
  const asGateway = 'in place of a gateway, where the service takes its headers:';
  return command
    .addOption(
      new Option('--url <url>', "the API's address (default: http://127.0.0.1 at HTTP_PORT)").env(
        'ANALYTICS_URL',
      ),
    )
    .addOption(
      new Option('--token <jwt>', 'who asks, as a bearer token')
        .env('ANALYTICS_TOKEN')
        .conflicts(['subject', 'roles', 'orgs']),
    )
    .option('--subject <name>', `${asGateway} who asks (default: analytics-cli)`)
    .option('--roles <names>', 'and may what, comma-separated (default: admin)')
    .option('--orgs <uuids>', 'and where, comma-separated (default: --org)')
    .addOption(
      new Option('--gateway-secret <text>', "and the gateway's secret").env(
        'GATEWAY_SHARED_SECRET',
      ),
    );
}

/** An environment variable that is empty counts as not set. */
const optional = <Form extends z.ZodType>(form: Form) =>
  z.preprocess((value) => (value === '' ? undefined : value), form.optional());
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);
/** A header cannot hold more. */
const headerText = z.string().regex(/^[\x20-\x7e]*$/, 'must be printable ASCII');

/** The API's address: nothing in it may be lost by adding a path to it. */
export const apiUrl = urlOption
  .refine((text) => {
    const { username, search, hash } = new URL(text);
    return username === '' && search === '' && hash === '';
  }, 'must have no user, query or fragment')
  .transform((text) => text.replace(/\/analytics\/v1$/, ''));

export const apiForm = z.object({
  url: optional(apiUrl),
  token: optional(headerText),
  subject: headerText.trim().min(1, 'must not be empty').optional(),
  roles: headerText.pipe(list).optional(),
  orgs: list.pipe(z.array(uuidOption)).optional(),
  gatewaySecret: optional(headerText),
});
type ApiOptions = z.output<typeof apiForm>;

/** The org that a command is about. */
export function withOrg(command: Command): Command {
  return command.addOption(
    new Option('--org <uuid>', 'the org that is asked about').env('ANALYTICS_ORG'),
  );
}

export const orgForm = z.object({ org: optional(uuidOption) });

/** @throws UsageError when none was given */
export function requireOrg({ org }: z.output<typeof orgForm>): string {
  if (org !== undefined) return org;
  throw new UsageError('--org is needed, or ANALYTICS_ORG: the id of the org');
}

/** Who asks: a bearer token where there is one, else whom a gateway would name. */
export function actorOf(options: ApiOptions & { org?: string | undefined }): Actor {
  const { token, subject, org, gatewaySecret } = options;
  if (token !== undefined) return { kind: 'token', token };
  return {
    kind: 'gateway',
    subject: subject ?? 'analytics-cli',
    roles: options.roles ?? [roles.admin],
    orgs: options.orgs ?? (org === undefined ? [] : [org]),
    secret: gatewaySecret ?? null,
  };
}

/** @param settings are read, and must be right, only where no URL was given */
export function urlOf(
  { url }: Pick<ApiOptions, 'url'>,
  settings: () => Settings = operatorSettings,
): string {
  if (url !== undefined) return url;
  const { PORT, HTTP_PORT } = settings();
  return `http://127.0.0.1:${PORT ?? HTTP_PORT}`;
}

/** Sets whether the command answers machines. */
export function withJson(command: Command): Command {
  return command.option('--json', 'one JSON object in place of text');
}

export const jsonForm = z.object({ json: z.boolean().default(false) });
