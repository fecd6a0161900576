import { Command, Option } from 'commander';
import { z } from 'zod';
import { duration, type Settings } from '../../shared/env.ts';
import { readOptions, urlOption } from '../publish/command-line.ts';
import { type Actor, tenantRoles } from './actor.ts';
import { smokeOrgId } from './events.ts';

export interface SmokeOptions {
  /** The API's address, without /analytics/v1. */
  url: string;
  /** Null where /metrics is not known to be reachable. */
  metricsUrl: string | null;
  orgId: string;
  actor: Actor;
  timeoutMs: number;
  skipExports: boolean;
  allowRbacOff: boolean;
  verbose: boolean;
  json: boolean;
}

const defaultTimeout = '120s';

const uuid = z.guid('must be a uuid').transform((text) => text.toLowerCase());
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);
/** A header cannot hold more. */
const headerText = z.string().regex(/^[\x20-\x7e]*$/, 'must be printable ASCII');
/** An environment variable that is empty counts as not set. */
const secret = headerText.optional().transform((text) => text || null);
const plainUrl = urlOption.refine((text) => {
  const { username, search, hash } = new URL(text);
  return username === '' && search === '' && hash === '';
}, 'must have no user, query or fragment');

const optionsForm = z.object({
  url: plainUrl.transform((text) => text.replace(/\/analytics\/v1$/, '')),
  metricsUrl: plainUrl.optional(),
  orgId: uuid,
  timeout: duration(defaultTimeout, { min: '1s', max: '1h' }),
  subject: headerText.trim().min(1, 'must not be empty'),
  roles: headerText.pipe(list),
  orgs: list.pipe(z.array(uuid)).optional(),
  gatewaySecret: secret,
  token: secret,
  skipExports: z.boolean().default(false),
  allowRbacOff: z.boolean().default(false),
  verbose: z.boolean().default(false),
  json: z.boolean().default(false),
});

/**
 * The command line of `npm run smoke`.
 *
 * @throws UsageError that names what is wrong
 */
export function readSmokeOptions(
  args: readonly string[],
  { PORT, HTTP_PORT }: Settings,
): SmokeOptions {
  const { options } = readOptions(smokeProgram(PORT ?? HTTP_PORT), args, optionsForm);
  const { url, orgId, token, timeout: timeoutMs, metricsUrl, ...rest } = options;
  const { subject, roles, orgs = [orgId], gatewaySecret, ...flags } = rest;
  const isHere = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(url).hostname);
  return {
    url,
    metricsUrl: metricsUrl ?? (isHere ? `${url}/metrics` : null),
    orgId,
    timeoutMs,
    actor:
      token === null
        ? { kind: 'gateway', subject, roles, orgs, secret: gatewaySecret }
        : { kind: 'token', token },
    ...flags,
  };
}

function smokeProgram(port: number): Command {
  return new Command('npm run smoke --')
    .description(
      'Tries a running service from outside, with events of a reserved org: are they stored, ' +
        'counted, exported, and hidden from others? Exit code 0: all passed; 1: a check failed; ' +
        '2: wrong usage; 3: nothing answers',
    )
    .option('--url <url>', "the API's address", `http://127.0.0.1:${port}`)
    .option('--metrics-url <url>', "the status function's /metrics, where it is not below --url")
    .option('--org-id <uuid>', 'the org to publish to', smokeOrgId)
    .option(
      '--timeout <duration>',
      'how long to wait for each thing that takes its time',
      defaultTimeout,
    )
    .option('--subject <name>', 'who asks', 'smoke')
    .option('--roles <names>', 'what the actor may, comma-separated', tenantRoles.join(','))
    .option('--orgs <uuids>', 'where, comma-separated (default: --org-id)')
    .addOption(
      new Option('--gateway-secret <text>', "the gateway's secret").env('GATEWAY_SHARED_SECRET'),
    )
    .addOption(
      new Option('--token <jwt>', 'a bearer token in place of the actor')
        .env('SMOKE_TOKEN')
        .conflicts(['subject', 'roles', 'orgs']),
    )
    .option('--skip-exports', 'leave out exports')
    .option('--allow-rbac-off', 'for a service with ENABLE_RBAC=false')
    .option('--verbose', 'requests, answers and times, on stderr')
    .option('--json', 'one JSON object in place of the lines');
}
