import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import * as z from 'zod';
import { eventsBodyMaxBytes } from '../../shared/http/body.ts';
import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import { actorHeaders, eventJson, jsonPost } from './event-json.ts';
import { midnight } from './midnight.ts';
import { basePath, type DocumentedOperation } from './openapi-document.ts';
import { adminHeaders, type System, startSystem } from './system.ts';

const timeRange = { start: midnight(2), end: midnight(-1) };

/** A request that should be answered as the document says, and by which service. */
export interface DocumentedRequest {
  system: System;
  path: string;
  init: RequestInit;
}

/** Services in every state that the document tells of. */
export interface DocumentedService {
  /** All is well: it has events of `orgId`, and exports that are done. */
  system: System;
  orgId: string;
  /** The request that the document answers with this status. */
  requestFor(operation: DocumentedOperation, status: number): Promise<DocumentedRequest>;
  close(): Promise<void>;
}

const jobForm = z.object({ jobId: z.string() });
/** Of the test's own hands, on a machine that is busy with other tests. */
const patienceMs = 5_000;

/** @param exportsFolder for the files of its exports */
export async function documentedService(exportsFolder: string): Promise<DocumentedService> {
  const start = (environment: Record<string, string>) =>
    startSystem({
      stream: false,
      exportsFolder,
      // A cache that others share would answer for a database that is away.
      environment: {
        S3_ENDPOINT: '',
        REDIS_URL: '',
        // Answers say what is left of it.
        RATE_LIMIT_PER_MINUTE: '1000000',
        ...environment,
      },
    });
  const system = await start({});
  const away = await start({ DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing' });
  const broken = await start({});
  // Its database is not asked for what is refused before.
  const limited = await start({
    DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing',
    RATE_LIMIT_PER_MINUTE: '1',
  });
  const database = openDatabase({ url: system.settings.DATABASE_URL ?? '', patienceMs });
  const orgId = randomUUID();
  await breakSchema(broken);
  await system.app.request(
    `${basePath}/events`,
    jsonPost(
      [
        eventJson({ orgId, clientId: 'web', occurredAt: midnight(1) }),
        eventJson({ orgId, occurredAt: midnight(1), status: 'error', errorCode: 'overloaded' }),
      ],
      adminHeaders,
    ),
  );

  const homeOf = ({ path }: DocumentedOperation) =>
    basePath + (path.startsWith('/exports') ? '/exports' : `/orgs/${orgId}/exports`);
  const createJob = async (home: string, headers = {}, format = 'csv') => {
    const init = jsonPost({ timeRange, format }, { ...adminHeaders, ...headers });
    const response = await system.app.request(home, init);
    expect(response.status).toBe(202);
    return jobForm.parse(await response.json()).jobId;
  };
  const done = new Map<string, string>();
  for (const home of [`${basePath}/exports`, `${basePath}/orgs/${orgId}/exports`]) {
    done.set(home, await createJob(home));
  }
  await system.exports.drain();

  /** The job that makes the answer one of this status. */
  const jobFor = async (operation: DocumentedOperation, status: number): Promise<string> => {
    const home = homeOf(operation);
    if (status === 404 && operation.path.endsWith('{jobId}')) return randomUUID();
    if (status === 404) return createJob(home);
    if (status !== 410) return done.get(home) ?? '';
    const jobId = await createJob(home);
    await system.exports.drain();
    await database.query(
      `update analytics.export_jobs set expires_at = now() - interval '1 s' where job_id = $1`,
      [jobId],
    );
    return jobId;
  };

  const requestFor = async (operation: DocumentedOperation, status: number) => {
    const { method, path: template, requestBody } = operation;
    const isRead = /\/(usage|reliability|orgs)$/.test(template);
    const needsJob = template.includes('{jobId}');
    const window = isRead ? `?start=${timeRange.start}&end=${timeRange.end}` : '';
    const bare = template
      .replace('{orgId}', orgId)
      .replace('{jobId}', needsJob ? await jobFor(operation, status) : '');
    const path = `${basePath}${bare}${method === 'GET' && status === 400 ? '?nonsense=1' : window}`;
    const headers: Record<string, string> =
      status === 401
        ? {}
        : status === 403
          ? actorHeaders(['nothing'], [orgId])
          : { ...adminHeaders };
    if (status === 200 && template.endsWith('/download')) headers.Prefer = 'return=representation';
    const fillsQueue = method === 'POST' && template.endsWith('/exports');
    const isLimited = status === 429 && !fillsQueue;
    const from = status === 503 ? away : status === 500 ? broken : isLimited ? limited : system;
    if (isLimited) {
      headers['X-Actor-Subject'] = randomUUID();
      await limited.app.request(path, { headers });
    }
    if (status === 304) {
      const first = await system.app.request(path);
      headers['If-None-Match'] = first.headers.get('ETag') ?? '';
    }
    if (requestBody === undefined) return { system: from, path, init: { headers } };
    const isExport = template.endsWith('/exports');
    const good = isExport ? { timeRange } : [eventJson({ orgId })];
    if (status === 409) {
      headers['Idempotency-Key'] = randomUUID();
      await createJob(homeOf(operation), headers, 'focus');
    }
    if (status === 429 && fillsQueue)
      await fillQueue(database, template.includes('{orgId}') ? orgId : null);
    const bodies: Record<number, unknown> = {
      400: [],
      413: 'x'.repeat(eventsBodyMaxBytes + 1),
      422: [{}],
    };
    const isFull = status === 503 && template.endsWith('/validate');
    if (isFull) {
      headers['X-Actor-Subject'] = 'whose bodies are never finished';
      holdBodies(system, path, headers);
    }
    const body = bodies[status] ?? good;
    const type = status === 415 ? 'text/csv' : 'application/json';
    return { system: isFull ? system : from, path, init: jsonPost(body, headers, type) };
  };

  return {
    system,
    orgId,
    requestFor: async (operation, status) => {
      await database.query(`delete from analytics.export_jobs where initiated_by = 'a crowd'`);
      return requestFor(operation, status);
    },
    close: async () => {
      await database.close();
      for (const one of [system, away, broken, limited]) await one.close();
    },
  };
}

/** What is asked for is no longer where the code looks: a fault that nobody has foreseen. */
async function breakSchema({ settings }: System): Promise<void> {
  const database = openDatabase({ url: settings.DATABASE_URL ?? '', patienceMs });
  for (const schema of ['analytics', 'analytics_tenant']) {
    await database.query(`alter schema ${schema} rename to ${schema}_elsewhere`);
  }
  await database.close();
}

/** As much as one actor may send without finishing it. */
function holdBodies({ app }: System, path: string, headers: Record<string, string>): void {
  for (let sender = 0; sender < 2; sender += 1) {
    const body = new ReadableStream({
      start: (sent) => sent.enqueue(new Uint8Array(eventsBodyMaxBytes - 1)),
    });
    const type = { 'Content-Type': 'application/json' };
    const init = {
      method: 'POST',
      headers: { ...headers, ...type },
      body,
      duplex: 'half' as const,
    };
    void app.request(path, init);
  }
}

/** As many waiting jobs as an org may have. */
async function fillQueue(database: Database, orgId: string | null): Promise<void> {
  await database.query(
    `insert into analytics.export_jobs
       (job_id, org_id, format, granularity, timezone, range_start, range_end, initiated_by)
     select gen_random_uuid(), $1, 'csv', 'day', 'UTC', $2, $3, 'a crowd'
     from generate_series(1, 50)`,
    [orgId, timeRange.start, timeRange.end],
  );
}
