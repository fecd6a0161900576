import { randomBytes } from 'node:crypto';
import { refuseNobody, refuseStranger } from './access-checks.ts';
import { openApi } from './api.ts';
import { both, type CheckResult, nothing, openChecks } from './check.ts';
import type { SmokeContext } from './context.ts';
import { publish, rejectInvalid, validate } from './event-checks.ts';
import { planEvents } from './events.ts';
import { createExport, download, hideExport } from './export-checks.ts';
import type { SmokeOptions } from './options.ts';
import { consumed, models, reliability, rollup, usage } from './query-checks.ts';
import { healthz, metrics, readyz } from './status-checks.ts';

export interface SmokeReport {
  url: string;
  orgId: string;
  /** Names the run in clientId and in every X-Request-Id. */
  clientId: string;
  /** False when nothing is there at all; then nothing was checked further. */
  isReached: boolean;
  checks: readonly CheckResult[];
}

export interface SmokeHooks {
  onCheck(result: CheckResult): void;
  /** Takes a line for each request and each answer. */
  onTraffic(line: string): void;
}

/** Every check in order; one that builds on another is skipped where that did not pass. */
export async function smoke(options: SmokeOptions, hooks: SmokeHooks): Promise<SmokeReport> {
  const { url, orgId, actor: as, timeoutMs } = options;
  const clientId = `smoke-${randomBytes(4).toString('hex')}`;
  const api = openApi(url, clientId, hooks.onTraffic);
  const plan = planEvents(orgId, clientId, Date.now());
  const context: SmokeContext = { api, as, plan, timeoutMs };
  const { check, results: checks } = openChecks(hooks.onCheck);

  await check('healthz', nothing, () => healthz(context));
  if (!api.hasAnswered()) return { url, orgId, clientId, isReached: false, checks };
  await check('readyz', nothing, () => readyz(context));
  await check('metrics', nothing, () => metrics(context, options));

  const refused = await check('no-actor', nothing, () =>
    refuseNobody(context, options.allowRbacOff),
  );
  await check('other-org', refused, () => refuseStranger(context));

  const validated = await check('validate', nothing, () => validate(context));
  const published = await check('publish', validated, () => publish(context));
  await check('invalid', published, () => rejectInvalid(context));
  // Once more: were the events of the second time counted too, the usage would tell.
  const resent = await check('resend', published, () => publish(context));

  const stored = await check('consumed', resent, (ms) => consumed(context, ms));
  const counted = await check('usage', stored, () => usage(context));
  await check('rollup', both(validated, counted), ([ms]) => rollup(context, ms));
  await check('reliability', counted, () => reliability(context));
  await check('models', counted, () => models(context));

  const job = await check('export', counted, () => createExport(context, !options.skipExports));
  await check('download', job, (done) => download(context, done));
  await check('hidden', both(refused, job), ([, done]) => hideExport(context, done));
  return { url, orgId, clientId, isReached: true, checks };
}
