import { type Context, Hono } from 'hono';
import * as z from 'zod';
import { type AccessRequest, type Role, roles } from '../../shared/access.ts';
import {
  createExportJob,
  type ExportCursor,
  type ExportJob,
  exportStatuses,
  granularityNames,
  listExportJobs,
  objectKeysOf,
  readExportJob,
} from '../../shared/exports/job.ts';
import type { AnnounceExport } from '../../shared/exports/requested.ts';
import type { Access } from '../../shared/http/actor.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import { json } from '../../shared/http/json.ts';
import {
  decodeCursor,
  encodeCursor,
  orgOf,
  pageParameters,
  parseQuery,
  requireOrgId,
  uuidParameter,
} from '../../shared/http/window-request.ts';
import type { Database } from '../../shared/platform/database/db.ts';
import type { Settings } from '../../shared/platform/env.ts';
import { messageOf, ServiceError } from '../../shared/platform/errors.ts';
import type { ObjectStore } from '../../shared/platform/object-store/object-store.ts';
import { parseInstant } from '../../shared/queries/instant.ts';
import { localTime } from '../../shared/queries/time-window.ts';
import { jobAnswer } from './answer.ts';
import { readExportRequest, readIdempotencyKey } from './request.ts';

export interface ExportsDeps {
  database: Database;
  access: Access;
  settings: Settings;
  store: ObjectStore;
  /** Sets the worker off; null leaves new jobs to the schedule. */
  announce: AnnounceExport | null;
}

export const listParameters = pageParameters.extend({
  status: z
    .enum(exportStatuses, { error: `must be one of ${exportStatuses.join(', ')}` })
    .optional()
    .describe('Only exports of this status.'),
});

/** Where exports are mounted, and whose they are: an org's, or an admin's over all orgs. */
const homes = [
  { path: '/orgs/:orgId/exports', isAllOrgs: false },
  { path: '/exports', isAllOrgs: true },
] as const;

/** Exports: ask for one, follow it, download it. */
export function exportsApp(deps: ExportsDeps): Hono<AppEnv> {
  const { database, access, settings, store } = deps;
  const app = new Hono<AppEnv>().basePath('/analytics/v1');

  for (const { path, isAllOrgs } of homes) {
    /** Decides first, whatever else may be wrong with the request. */
    const authorize = (context: Context<AppEnv>, action: string, role: Role) => {
      const orgId = isAllOrgs ? null : orgOf(context);
      const request: AccessRequest = isAllOrgs
        ? { action, anyOf: [roles.admin], orgId, everyOrg: true }
        : { action, anyOf: [role], orgId };
      const actor = access.authorize(context, request);
      if (orgId !== null) requireOrgId(orgId);
      return { actor, orgId };
    };
    const jobOf = async (context: Context<AppEnv>, action: string, role: Role) => {
      const { orgId } = authorize(context, action, role);
      parseQuery(context, z.strictObject({}));
      const given = context.req.param('jobId') ?? '';
      const jobId = uuidParameter.safeParse(given).data;
      const job = jobId === undefined ? null : await readExportJob(database, orgId, jobId);
      if (job === null) throw new ServiceError('not_found', `there is no export ${given} here`);
      return job;
    };

    app.post(path, async (context) => {
      const { actor, orgId } = authorize(context, 'exports:create', roles.exportsCreate);
      parseQuery(context, z.strictObject({}));
      const idempotencyKey = readIdempotencyKey(context);
      const request = await readExportRequest(context, orgId, settings);
      const initiatedBy = actor.subject;
      const job = await createExportJob(database, { ...request, initiatedBy, idempotencyKey });
      if (job.status === 'pending') await announce(context, deps, job);
      const answer = jobAnswer(job);
      context.header('Location', answer.self);
      return json(context, answer.job, 202);
    });

    app.get(path, async (context) => {
      const { orgId } = authorize(context, 'exports:list', roles.exportsRead);
      const { status, limit, cursor } = parseQuery(context, listParameters);
      const after = cursor === undefined ? null : readCursor(cursor);
      const { items, next } = await listExportJobs(database, orgId, status ?? null, limit, after);
      const nextCursor = next === null ? null : encodeCursor([next.createdAt, next.jobId]);
      return json(context, { items: items.map((job) => jobAnswer(job).job), nextCursor });
    });

    app.get(`${path}/:jobId`, async (context) => {
      const job = await jobOf(context, 'exports:read', roles.exportsRead);
      return json(context, jobAnswer(job).job);
    });

    app.get(`${path}/:jobId/manifest`, async (context) => {
      const job = await jobOf(context, 'exports:manifest', roles.exportsRead);
      requireFile(job);
      const manifest = await store.read(objectKeysOf(job).manifest);
      // As with the file: a worker that lost the job may have woken up and written its own.
      if (manifest === null || !manifest.includes(job.checksum ?? '')) throw lostFile(job);
      return context.body(manifest.toString('utf8'), 200, {
        'Content-Type': 'application/json',
        'Cache-Control': 'no-store',
      });
    });

    app.get(`${path}/:jobId/download`, async (context) => {
      const job = await jobOf(context, 'exports:download', roles.exportsDownload);
      const { objectKey, expiresAt } = requireFile(job);
      const head = await store.head(objectKey);
      // Another file under this name is not the one whose checksum and totals we told.
      if (head === null || head.etag !== job.objectEtag) throw lostFile(job);
      const ttlMs = Math.min(settings.EXPORT_SIGNED_URL_TTL, expiresAt.getTime() - Date.now());
      const filename = filenameOf(job);
      const contentType = 'text/csv; charset=utf-8';
      const url = await store.signedUrl(objectKey, { filename, contentType, ttlMs });
      // A page cannot send its credentials along with a link, nor see where a redirect leads.
      if (prefersLink(context)) {
        const urlExpiresAt = new Date(Date.now() + ttlMs).toISOString();
        context.header('Preference-Applied', 'return=representation');
        return json(context, { url, filename, urlExpiresAt });
      }
      context.header('Cache-Control', 'no-store');
      return context.redirect(url, 302);
    });
  }
  return app;
}

/**
 * Whether the link itself is wanted, rather than to be led to it: said by RFC 7240, since many
 * clients send an Accept of JSON with whatever they ask for.
 */
function prefersLink(context: Context<AppEnv>): boolean {
  const preferences = (context.req.header('Prefer') ?? '').split(',');
  return preferences.some((one) => /^\s*return\s*=\s*"?representation"?\s*(;|$)/i.test(one));
}

/** @throws ServiceError `not_found` while there is no file, `gone` once it has expired. */
function requireFile(job: ExportJob): { objectKey: string; expiresAt: Date } {
  const { status, objectKey, expiresAt, completedAt, error } = job;
  if (status === 'failed') {
    throw new ServiceError('not_found', `the export failed, there is no file: ${error}`);
  }
  if (status === 'pending' || status === 'running') {
    const detail = `the export is ${status}: ask for its status until it has succeeded`;
    throw new ServiceError('not_found', detail);
  }
  if (objectKey === null || expiresAt === null || completedAt === null) {
    throw new Error(`export ${job.jobId} is ${status} without a file`);
  }
  if (status === 'expired' || expiresAt.getTime() <= Date.now()) {
    const detail = `the export expired at ${expiresAt.toISOString()}: ask for it anew`;
    throw new ServiceError('gone', detail);
  }
  return { objectKey, expiresAt };
}

function lostFile({ jobId }: ExportJob): ServiceError {
  const detail =
    `the file of export ${jobId} is no longer the one that was written: it was removed or ` +
    'replaced in the store. Ask for the export anew';
  return new ServiceError('gone', detail);
}

/** What a browser saves the file as: what is in it, without a path's or a quote's characters. */
function filenameOf({ format, orgId, range, timezone, granularity, jobId }: ExportJob): string {
  const day = (ms: number) => localTime(ms, timezone).slice(0, 10);
  const what = format === 'csv' ? `usage-${granularityNames[granularity]}` : format;
  const through = day(range.endMs - 1);
  return `${what}_${orgId ?? 'all'}_${day(range.startMs)}_${through}_${jobId.slice(0, 8)}.csv`;
}

async function announce(
  { var: { logger } }: Context<AppEnv>,
  deps: ExportsDeps,
  job: ExportJob,
): Promise<void> {
  try {
    await deps.announce?.(job);
  } catch (error) {
    // Of itself fetch says no more than that it failed.
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    logger.warn({ jobId: job.jobId, reason: messageOf(cause) }, 'export left to the schedule');
  }
}

const cursorForm = z.tuple([z.string().refine(isTime), uuidParameter]);
const timeForm =
  /^([1-9]\d{3}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,6})?)([+-](?:0\d|1[0-4]))(?::(\d\d))?$/;

/** A time as PostgreSQL writes it; of 30 February and the like it would only make an error. */
function isTime(text: string): boolean {
  const [, date, time, hours, minutes = '00'] = timeForm.exec(text) ?? [];
  return parseInstant(`${date}T${time}${hours}:${minutes}`) !== undefined;
}

function readCursor(text: string): ExportCursor {
  const [createdAt, jobId] = decodeCursor(text, cursorForm);
  return { createdAt, jobId };
}
