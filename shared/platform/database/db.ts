import { setTimeout as sleep } from 'node:timers/promises';
import { createPatience, DeadlineError, type Patience } from '../deadline.ts';
import type { Settings } from '../env.ts';
import { messageOf, ServiceError, storeAway } from '../errors.ts';
import { type Client, type DriverName, openPool, type Pool, type TextRow } from './driver.ts';
import { sqlSpans } from './sql-span.ts';
import { createTurns } from './turns.ts';

export type { TextRow } from './driver.ts';

/** Something that answers SQL. Values are always parameters. */
export interface Queryable {
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

export interface Transaction extends Queryable {
  /**
   * The rows of a select, read through a cursor so that a result of any size takes little memory:
   * arrays of at most `rowsPerFetch` rows, every column in PostgreSQL's text form. The next rows
   * are under way while these are worked on. One cursor at a time.
   */
  cursor(text: string, values: readonly unknown[], rowsPerFetch: number): AsyncIterable<TextRow[]>;
  /** Feeds text-format COPY data to a `copy … from stdin` statement. */
  copyFrom(text: string, data: Buffer): Promise<void>;
}

export interface TransactionOptions {
  /**
   * Whose rows there are to be seen and written, whatever the statements say: an org's, or with
   * null every org's, for admins and metrics. The server holds to it, as migration 0007 has it.
   * Jobs leave it out, and work as the user who connects.
   */
  tenant?: string | null;
  /** `snapshot` is repeatable read, read only: every statement sees the same moment. */
  mode?: 'write' | 'snapshot';
  statementTimeoutMs?: number;
  lockTimeoutMs?: number;
  /** How long a snapshot may rest between statements before the server ends it; default 30 s. */
  idleTimeoutMs?: number;
  /** Ends the transaction at once, also in the middle of a statement, by closing its connection. */
  signal?: AbortSignal;
  /** More statements to run with BEGIN in the same round trip; SQL of ours, no values. */
  prelude?: string;
}

/** A pool of connections, over node-postgres or Neon's driver, which speaks the same interface. */
export interface Database extends Queryable {
  /** Whether `copyFrom` works: Neon's driver carries no COPY. */
  readonly canCopy: boolean;
  transaction<T>(
    options: TransactionOptions,
    work: (transaction: Transaction) => Promise<T>,
  ): Promise<T>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  url: string;
  driver?: Settings['DATABASE_DRIVER'];
  /** How many may be used at once; one more looks whether the server is there while others wait. */
  connectionsMax?: number;
  /** How long connecting and the first answer may take together, before giving up as unavailable. */
  patienceMs?: number;
  /** After so long without use a connection is closed; default 30 s. */
  idleTimeoutMs?: number;
  statementTimeoutMs?: number;
  name?: string;
}

/** Contract: a request that cannot be served because a store is away answers within a second. */
const requestPatienceMs = 800;

/** How long to wait while all connections are at work and the server answers. */
const turnWaitMaxMs = 10_000;

/** A lost packet, a proxy that restarts, or one connection more than the server takes now. */
const connectTriesMax = 3;
/** Many who are refused at once must not all come back at once. */
const lookMinMs = 50;
const retryPauseMs = () => 50 + 100 * Math.random();

/**
 * A process that froze, or a machine that went away without a word, must not keep its locks: the
 * consumer that takes its lease over would wait for them. Between two statements we need no time.
 */
const idleInWriteMaxMs = 5_000;
/** A snapshot locks nobody out, but while it is open nothing can be cleaned up behind it. */
const idleInSnapshotMaxMs = 30_000;

/**
 * Opens a pool; connects on first use. Drivers load when needed: a function that answers its probe
 * must not wait for them.
 *
 * Every method throws ServiceError `unavailable` when the server cannot be reached or does not
 * answer in time, when all connections are taken for too long or too many wait for one, and the
 * driver's own error otherwise.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const { connectionsMax = 10, patienceMs = requestPatienceMs } = options;
  const { idleTimeoutMs = 30_000, statementTimeoutMs = 30_000 } = options;
  const driver = driverOf(options);
  /** When the server was last of use, on whichever connection. */
  let heardMs = Number.NEGATIVE_INFINITY;
  const heard = () => {
    heardMs = performance.now();
  };
  const { inSqlSpan, inTransactionSpan, sqlSpanOver } = sqlSpans(options.url);
  let opening: Promise<Pool> | undefined;
  const pool = () => {
    opening ??= openPool(driver, {
      url: options.url,
      connectionsMax: connectionsMax + 1,
      connectTimeoutMs: patienceMs,
      idleTimeoutMs,
      // The server's own limit answers first; this one is for a server that no longer answers.
      queryTimeoutMs: statementTimeoutMs + 5_000,
      name: options.name ?? 'analytics-service',
      onConnect: heard,
    });
    return opening;
  };

  const turns = createTurns({
    atOnceMax: connectionsMax,
    waitMaxMs: Math.max(turnWaitMaxMs, patienceMs),
    look,
  });

  async function withClient<T>(
    share: string,
    work: (client: Client, patience: Patience) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    await turns.take(share);
    try {
      return await onConnection(await connect(), work, signal);
    } finally {
      turns.giveBack(share);
    }
  }

  /** A connection, and how long the server may still take for its first answer. */
  interface Connected {
    client: Client;
    patience: Patience;
  }

  async function onConnection<T>(
    { client, patience }: Connected,
    work: (client: Client, patience: Patience) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    let isReleased = false;
    const release = (destroy: boolean) => {
      if (!isReleased) client.release(destroy);
      isReleased = true;
    };
    const destroy = () => release(true);
    signal?.addEventListener('abort', destroy, { once: true });
    try {
      signal?.throwIfAborted();
      const result = await work(client, patience);
      heard();
      release(false);
      return result;
    } catch (error) {
      const cause = asUnavailable(error);
      // What a server no longer answers for must not go back to the pool.
      release(isUnavailable(cause) || endsSession(error));
      throw signal?.aborted ? signal.reason : cause;
    } finally {
      signal?.removeEventListener('abort', destroy);
    }
  }

  /**
   * Who has a turn tries again, for as long as a request waits; and once more from the start where
   * the server answers others meanwhile, since then it is not away. Where it was of use to nobody,
   * all are told who wait.
   */
  async function connect(): Promise<Connected> {
    const startedMs = performance.now();
    let patience = createPatience(patienceMs);
    for (let tries = 1; ; tries += 1) {
      const triedMs = performance.now();
      try {
        return await connectOnce(patience);
      } catch (error) {
        const cause = asUnavailable(error);
        if (!isUnavailable(cause)) throw cause;
        const isOver = error instanceof DeadlineError && heardMs < triedMs;
        if (isOver || tries === connectTriesMax) {
          if (heardMs < startedMs) turns.refuse(cause);
          throw cause;
        }
        if (heardMs >= triedMs) patience = createPatience(patienceMs);
      }
      await patience.within(sleep(retryPauseMs()), 'it does not answer').catch(() => {});
    }
  }

  async function connectOnce(patience: Patience): Promise<Connected> {
    const connecting = pool().then((opened) => opened.connect());
    try {
      return { client: await patience.within(connecting, 'it does not answer'), patience };
    } catch (error) {
      // Should it be connected all the same, it is the next one's.
      connecting.then((client) => client.release(false)).catch(() => {});
      throw error;
    }
  }

  async function firstAnswer(client: Client, text: string, patience: Patience): Promise<void> {
    const startedMs = performance.now();
    try {
      await patience.within(client.query(text, []), 'it does not answer');
      heard();
    } catch (error) {
      // Those who wait would find out one after the other; not so where it answers others.
      if (error instanceof DeadlineError && heardMs < startedMs) turns.refuse(asUnavailable(error));
      throw error;
    }
  }

  /**
   * The server is away when it has said nothing to anybody for as long as a request waits. One that
   * spoke while this looked, and then fell silent, is looked at again for what is left of that time:
   * those who wait have waited so long already.
   */
  async function look(): Promise<void> {
    let limitMs = patienceMs;
    for (let round = 0; round < 2; round += 1) {
      const startedMs = performance.now();
      try {
        return await lookOnce(limitMs);
      } catch {
        if (heardMs < startedMs) return;
        limitMs = Math.max(lookMinMs, heardMs + patienceMs - performance.now());
      }
    }
  }

  async function lookOnce(limitMs: number): Promise<void> {
    const startedMs = performance.now();
    let connected: Connected;
    try {
      connected = await connectOnce(createPatience(limitMs));
    } catch (error) {
      // That it has too many connections is an answer: those at work may be fine.
      const isThere = sqlState(error) !== undefined || heardMs >= startedMs;
      if (!isThere) turns.refuse(asUnavailable(error));
      throw error;
    }
    await onConnection(connected, (client, patience) => firstAnswer(client, 'select 1', patience));
  }

  return {
    canCopy: driver === 'pg',
    query: (text, values) =>
      inSqlSpan(text, () => withClient(jobs, (client) => run(client, text, values))),
    transaction: ({ mode = 'write', prelude = '', tenant, ...limits }, work) =>
      inTransactionSpan(() =>
        withClient(
          shareOf(tenant),
          async (client, patience) => {
            const idleMs =
              mode === 'write' ? idleInWriteMaxMs : (limits.idleTimeoutMs ?? idleInSnapshotMaxMs);
            const begin = [
              mode === 'snapshot'
                ? 'begin isolation level repeatable read read only'
                : 'begin isolation level read committed',
              // Just-in-time compilation made a 0.32 s query take 3.2 s.
              'set local jit = off',
              `set local statement_timeout = ${Math.trunc(limits.statementTimeoutMs ?? statementTimeoutMs)}`,
              `set local lock_timeout = ${Math.trunc(limits.lockTimeoutMs ?? 0)}`,
              `set local idle_in_transaction_session_timeout = ${Math.trunc(idleMs)}`,
              ...reachOf(tenant),
              prelude,
            ].join('; ');
            try {
              await inSqlSpan('begin', () => firstAnswer(client, begin, patience));
              const result = await work({
                query: (text, values) => inSqlSpan(text, () => run(client, text, values)),
                cursor: (text, values, rowsPerFetch) =>
                  sqlSpanOver(text, readCursor(client, text, values, rowsPerFetch)),
                copyFrom: (text, data) => inSqlSpan(text, () => client.copyFrom(text, data)),
              });
              await inSqlSpan('commit', () => client.query('commit', []));
              return result;
            } catch (error) {
              // Its connection is given up, and the transaction with it.
              if (isUnavailable(asUnavailable(error)) || endsSession(error)) throw error;
              try {
                // Also when the prelude failed: the transaction that BEGIN opened is still there.
                await inSqlSpan('rollback', () => client.query('rollback', []));
              } catch (fault) {
                // Without an answer the transaction may still be open: give up this connection.
                throw new ServiceError('unavailable', 'the database went away', [], error ?? fault);
              }
              throw error;
            }
          },
          limits.signal,
        ),
      ),
    close: async () => {
      if (opening !== undefined) await (await opening).end();
    },
  };
}

/** Turns go round by tenant; those who see all of them share one, and so do jobs. */
const jobs = 'jobs';
function shareOf(tenant: string | null | undefined): string {
  return tenant === undefined ? jobs : (tenant ?? 'all tenants');
}

const tenantForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * What BEGIN says of whose rows there are. A relation without a schema is a table for jobs and
 * operators, and the view of it for a tenant; nobody's temporary table stands before it, which in a
 * pooler's session may be left from another's transaction.
 */
function reachOf(tenant: string | null | undefined): string[] {
  if (tenant === undefined) return ['set local search_path = analytics, public'];
  if (tenant === null) {
    return ['set local role analytics_operator', 'set local search_path = analytics, pg_temp'];
  }
  // SET takes no parameters.
  if (!tenantForm.test(tenant)) throw new Error('the tenant of a transaction must be a uuid');
  return [
    'set local role analytics_tenant',
    `set local app.org = '${tenant}'`,
    'set local search_path = analytics_tenant, pg_temp',
  ];
}

async function* readCursor(
  client: Client,
  text: string,
  values: readonly unknown[],
  rowsPerFetch: number,
): AsyncGenerator<TextRow[], void, void> {
  // All rows will be read: plan for the whole, not for the first tenth of it.
  await client.query('set local cursor_tuple_fraction = 1', []);
  await client.query(`declare result no scroll cursor for ${text}`, [...values]);
  const fetch = () => {
    const rows = client.queryText(`fetch forward ${Math.trunc(rowsPerFetch)} from result`);
    // Awaited below, unless the reader leaves first; then its end is nobody's concern.
    rows.catch(() => {});
    return rows;
  };
  let next = fetch();
  for (;;) {
    const { rows } = await next;
    if (rows.length === 0) break;
    next = fetch();
    yield rows;
  }
  await client.query('close result', []);
}

function driverOf({ url, driver = 'auto' }: DatabaseOptions): DriverName {
  if (driver !== 'auto') return driver;
  return new URL(url).hostname.endsWith('.neon.tech') ? 'neon' : 'pg';
}

async function run<Row extends object>(
  client: Client,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const result = await client.query<Row>(text, [...values]);
  return result.rows;
}

/** SQLSTATE of an error from the server, or undefined for anything else. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    /^[0-9A-Z]{5}$/.test(error.code)
    ? error.code
    : undefined;
}

/** The server's last word in a session: the connection is gone, whatever the fault was about. */
function endsSession(error: unknown): boolean {
  return (
    error instanceof Error &&
    'severity' in error &&
    (error.severity === 'FATAL' || error.severity === 'PANIC')
  );
}

const unreachable = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);
const connectionStates = /^(08...|25P03|57P0[1-5]|53...)$/;
const connectionMessages =
  /timeout exceeded when trying to connect|Connection terminated|Query read timeout|Client has encountered a connection error|not queryable/;

function asUnavailable(thrown: unknown): unknown {
  const webSocketError = webSocketErrorIn(thrown);
  if (webSocketError !== undefined) return unavailable(webSocketError);
  if (!(thrown instanceof Error) || thrown instanceof ServiceError) return thrown;
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';
  return thrown instanceof DeadlineError ||
    unreachable.has(code) ||
    connectionStates.test(sqlState(thrown) ?? '') ||
    connectionMessages.test(thrown.message)
    ? unavailable(thrown)
    : thrown;
}

function isUnavailable(error: unknown): boolean {
  return error instanceof ServiceError && error.code === 'unavailable';
}

/** Neon's driver rejects with its WebSocket's event. What is in there never comes from the server. */
function webSocketErrorIn(thrown: unknown): Error | undefined {
  const isEvent =
    typeof thrown === 'object' &&
    thrown !== null &&
    !(thrown instanceof Error) &&
    'error' in thrown;
  return isEvent && thrown.error instanceof Error ? thrown.error : undefined;
}

function unavailable(error: Error): ServiceError {
  return storeAway('the database is not available', messageOf(error), error);
}
