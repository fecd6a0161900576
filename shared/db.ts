import { once } from 'node:events';
import type { PoolConfig } from 'pg';
import { DeadlineError, within } from './deadline.ts';
import type { Settings } from './env.ts';
import { messageOf, ServiceError } from './errors.ts';

/** Something that answers SQL. Values are always parameters. */
export interface Queryable {
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

export interface Transaction extends Queryable {
  /** Feeds text-format COPY data to a `copy … from stdin` statement. */
  copyFrom(text: string, data: Buffer): Promise<void>;
}

export interface TransactionOptions {
  /** `snapshot` is repeatable read, read only: every statement sees the same moment. */
  mode?: 'write' | 'snapshot';
  statementTimeoutMs?: number;
  lockTimeoutMs?: number;
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
  connectionsMax?: number;
  /** How long to wait for a connection, and for its first answer, before giving up as unavailable. */
  patienceMs?: number;
  statementTimeoutMs?: number;
  name?: string;
}

/** What the two drivers have in common, as far as it is used here. */
interface Client {
  query<Row extends object>(text: string, values: unknown[]): Promise<{ rows: Row[] }>;
  copyFrom(text: string, data: Buffer): Promise<void>;
  release(destroy: boolean): void;
}

interface Pool {
  connect(): Promise<Client>;
  end(): Promise<void>;
}

/** Contract: a request that cannot be served because a store is away answers within a second. */
const requestPatienceMs = 800;

/**
 * A process that froze, or a machine that went away without a word, must not keep its locks: the
 * consumer that takes its lease over would wait for them. Between two statements we need no time.
 */
const idleInWriteMaxMs = 5_000;

/**
 * Opens a pool; connects on first use. Drivers load when needed: a function that answers its probe
 * must not wait for them.
 *
 * Every method throws ServiceError `unavailable` when the server cannot be reached or does not
 * answer in time, and the driver's own error otherwise.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const { patienceMs = requestPatienceMs, statementTimeoutMs = 30_000 } = options;
  let opening: Promise<Pool> | undefined;
  const pool = () => {
    opening ??= createPool(options, patienceMs, statementTimeoutMs);
    return opening;
  };

  async function withClient<T>(work: (client: Client) => Promise<T>): Promise<T> {
    let client: Client | undefined;
    let broken = false;
    try {
      client = await (await pool()).connect();
      return await work(client);
    } catch (error) {
      const cause = asUnavailable(error);
      // What a server no longer answers for must not go back to the pool.
      broken = cause instanceof ServiceError && cause.code === 'unavailable';
      throw cause;
    } finally {
      client?.release(broken);
    }
  }

  return {
    canCopy: driverOf(options) === 'pg',
    query: (text, values) => withClient((client) => run(client, text, values)),
    transaction: ({ mode = 'write', prelude = '', ...limits }, work) =>
      withClient(async (client) => {
        const begin = [
          mode === 'snapshot'
            ? 'begin isolation level repeatable read read only'
            : 'begin isolation level read committed',
          // Just-in-time compilation made a 0.32 s query take 3.2 s.
          'set local jit = off',
          `set local statement_timeout = ${Math.trunc(limits.statementTimeoutMs ?? statementTimeoutMs)}`,
          `set local lock_timeout = ${Math.trunc(limits.lockTimeoutMs ?? 0)}`,
          ...(mode === 'write'
            ? [`set local idle_in_transaction_session_timeout = ${idleInWriteMaxMs}`]
            : []),
          prelude,
        ].join('; ');
        await within(patienceMs, client.query(begin, []), 'it does not answer');
        try {
          const result = await work({
            query: (text, values) => run(client, text, values),
            copyFrom: client.copyFrom,
          });
          await client.query('commit', []);
          return result;
        } catch (error) {
          try {
            await client.query('rollback', []);
          } catch (fault) {
            // Without an answer the transaction may still be open: give up this connection.
            throw new ServiceError('unavailable', 'the database went away', [], error ?? fault);
          }
          throw error;
        }
      }),
    close: async () => {
      if (opening !== undefined) await (await opening).end();
    },
  };
}

function driverOf({ url, driver = 'auto' }: DatabaseOptions): 'pg' | 'neon' {
  if (driver !== 'auto') return driver;
  return new URL(url).hostname.endsWith('.neon.tech') ? 'neon' : 'pg';
}

async function createPool(
  options: DatabaseOptions,
  patienceMs: number,
  statementTimeoutMs: number,
): Promise<Pool> {
  const config: PoolConfig = {
    connectionString: options.url,
    max: options.connectionsMax ?? 10,
    connectionTimeoutMillis: patienceMs,
    idleTimeoutMillis: 30_000,
    // The server's own limit answers first; this one is for a server that no longer answers.
    query_timeout: statementTimeoutMs + 5_000,
    application_name: options.name ?? 'analytics-service',
    types: { getTypeParser: await typeParser() },
  };
  // A connection that the server closes is replaced at the next use, and what it was working on
  // fails. Its error event says nothing more, but unhandled it would end the process. The pool
  // hears it only while the connection is idle, so each connection has a listener of its own.
  const ignore = () => {};
  const ignoreErrorsOf = (client: { on(event: 'error', listener: () => void): unknown }) => {
    client.on('error', ignore);
  };
  if (driverOf(options) === 'neon') {
    const { neonConfig, Pool: NeonPool } = await import('@neondatabase/serverless');
    if (globalThis.WebSocket === undefined) {
      neonConfig.webSocketConstructor = (await import('ws')).WebSocket;
    }
    const pool = new NeonPool(config).on('error', ignore).on('connect', ignoreErrorsOf);
    return {
      connect: async () => {
        const client = await pool.connect();
        return {
          query: (text, values) => client.query(text, values),
          copyFrom: () => Promise.reject(new Error("Neon's driver carries no COPY")),
          release: (destroy) => client.release(destroy),
        };
      },
      end: () => pool.end(),
    };
  }
  const { default: pg } = await import('pg');
  const pool = new pg.Pool(config).on('error', ignore).on('connect', ignoreErrorsOf);
  return {
    connect: async () => {
      const client = await pool.connect();
      return {
        query: (text, values) => client.query(text, values),
        copyFrom: async (text, data) => {
          const { from } = await import('pg-copy-streams');
          const stream = client.query(from(text));
          const finished = once(stream, 'finish');
          stream.end(data);
          await finished;
        },
        release: (destroy) => client.release(destroy),
      };
    },
    end: () => pool.end(),
  };
}

/** bigint as number: ids, offsets and counts here stay far below 2^53. NUMERIC stays text. */
async function typeParser(): Promise<(typeId: number, format?: 'text' | 'binary') => unknown> {
  const { default: pg } = await import('pg');
  const int8 = 20;
  return (typeId, format) => (typeId === int8 ? Number : pg.types.getTypeParser(typeId, format));
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
  const error = errorIn(thrown);
  if (error === undefined || error instanceof ServiceError) return thrown;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (
    error instanceof DeadlineError ||
    unreachable.has(code) ||
    connectionStates.test(sqlState(error) ?? '') ||
    connectionMessages.test(error.message)
  ) {
    const reason = `the database is not available: ${reasonOf(error)}`;
    return new ServiceError('unavailable', reason, [], error);
  }
  return error;
}

/** The pool's own message speaks of connecting, but all connections may just be taken. */
function reasonOf(error: Error): string {
  return error.message.includes('timeout exceeded when trying to connect')
    ? 'no connection was to be had in time (it does not answer, or too many requests wait)'
    : messageOf(error);
}

/** Neon's driver rejects with its WebSocket's event, which holds the error. */
function errorIn(thrown: unknown): Error | undefined {
  if (thrown instanceof Error) return thrown;
  const hasError = typeof thrown === 'object' && thrown !== null && 'error' in thrown;
  return hasError && thrown.error instanceof Error ? thrown.error : undefined;
}
