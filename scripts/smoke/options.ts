import { Command } from 'commander';
import * as z from 'zod';
import { duration, type Settings } from '../../shared/platform/env.ts';
import { type Actor, tenantRoles } from '../cli/actor.ts';
import {
  actorOf,
  apiForm,
  apiUrl,
  jsonForm,
  urlOf,
  withApi,
  withJson,
} from '../cli/api-options.ts';
import { readOptions, uuidOption } from '../cli/command-line.ts';
import { smokeOrgId } from './events.ts';

export interface SmokeOptions {
  /** The API's address, without /analytics/v1. */
  url: string;
  /** Null where /metrics is not known to be reachable. */
  metricsUrl: string | null;
  /** METRICS_TOKEN: without it a service that has one tells no numbers of the pipeline. */
  metricsToken: string | null;
  orgId: string;
  actor: Actor;
  timeoutMs: number;
  skipExports: boolean;
  allowRbacOff: boolean;
  verbose: boolean;
  json: boolean;
}

const defaultTimeout = '120s';

export const smokeForm = z.object({
  ...apiForm.shape,
  ...jsonForm.shape,
  metricsUrl: apiUrl.optional(),
  orgId: uuidOption,
  timeout: duration(defaultTimeout, { min: '1s', max: '1h' }),
  skipExports: z.boolean().default(false),
  allowRbacOff: z.boolean().default(false),
  verbose: z.boolean().default(false),
});

/** What `smoke` is asked to do: by a tenant of the org, unless somebody else is named. */
export function smokeOptions(
  options: z.output<typeof smokeForm>,
  settings: Settings,
): SmokeOptions {
  const {
    orgId,
    timeout: timeoutMs,
    metricsUrl,
    skipExports,
    allowRbacOff,
    verbose,
    json,
  } = options;
  const url = urlOf(options, () => settings);
  const isHere = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(url).hostname);
  return {
    url,
    metricsUrl: metricsUrl ?? (isHere ? `${url}/metrics` : null),
    metricsToken: settings.METRICS_TOKEN ?? null,
    orgId,
    timeoutMs,
    actor: actorOf({
      ...options,
      subject: options.subject ?? 'smoke',
      roles: options.roles ?? tenantRoles,
      org: orgId,
    }),
    skipExports,
    allowRbacOff,
    verbose,
    json,
  };
}

/**
 * The options of a command line.
 *
 * @throws UsageError that names what is wrong
 */
export function readSmokeOptions(args: readonly string[], settings: Settings): SmokeOptions {
  const { options } = readOptions(defineSmoke(new Command('smoke')), args, smokeForm);
  return smokeOptions(options, settings);
}

export function defineSmoke(command: Command): Command {
  command
    .description(
      'try a running service from outside, with events of a reserved org: are they stored, ' +
        'counted, exported, and hidden from others? Asks as a tenant of that org, named smoke, ' +
        'unless told otherwise',
    )
    .option(
      '--metrics-url <url>',
      "the status function's /metrics, asked with METRICS_TOKEN where it is set",
    )
    .option('--org-id <uuid>', 'the org to publish to', smokeOrgId)
    .option(
      '--timeout <duration>',
      'how long to wait for each thing that takes its time',
      defaultTimeout,
    )
    .option('--skip-exports', 'leave out exports')
    .option('--allow-rbac-off', 'for a service with ENABLE_RBAC=false')
    .option('--verbose', 'requests, answers and times, on stderr');
  return withJson(withApi(command));
}
