import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientConfig, PoolConfig } from 'pg';
import { countDown, DeadlineError } from '../deadline.ts';

export type DriverName = 'pg' | 'neon';

/** A row whose columns are all in PostgreSQL's text form. */
export type TextRow = (string | null)[];

/** What the two drivers have in common, as far as it is used here. */
export interface Client {
  query<Row extends object>(text: string, values: unknown[]): Promise<{ rows: Row[] }>;
  queryText(text: string): Promise<{ rows: TextRow[] }>;
  copyFrom(text: string, data: Buffer): Promise<void>;
  release(destroy: boolean): void;
}

export interface Pool {
  connect(): Promise<Client>;
  end(): Promise<void>;
}

export interface PoolOptions {
  url: string;
  connectionsMax: number;
  /** How long one try to connect may take. */
  connectTimeoutMs: number;
  /** After so long without use a connection is closed. */
  idleTimeoutMs: number;
  queryTimeoutMs: number;
  /** What the server shows of its sessions. */
  name: string;
  /** Told of each new connection. */
  onConnect: () => void;
}

/** What both drivers call a parser of a column's type. */
type TypeParser = (typeId: number, format?: 'text' | 'binary') => unknown;

/** Loads the driver, and nothing of the other one. */
export function openPool(driver: DriverName, options: PoolOptions): Promise<Pool> {
  return driver === 'neon' ? openNeonPool(options) : openPgPool(options);
}

async function openPgPool(options: PoolOptions): Promise<Pool> {
  const { default: pg } = await import('pg');
  const config = configOf({ ...options, url: asLibpqReads(options.url) }, pg.types.getTypeParser);
  class Client extends pg.Client {
    constructor(own?: ClientConfig) {
      super(own);
      endWhenSilent(this, options.connectTimeoutMs);
    }
  }
  const pool = new pg.Pool({ ...config, Client })
    .on('error', ignore)
    .on('connect', ignoreErrorsOf)
    .on('connect', options.onConnect);
  return {
    connect: async () => {
      const client = await pool.connect();
      return {
        query: (text, values) => client.query(text, values),
        queryText: (text) => client.query<TextRow>({ text, rowMode: 'array', types: asText }),
        copyFrom: async (text, data) => {
          const { default: copy } = await import('pg-copy-streams');
          const stream = client.query(copy.from(text));
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

/**
 * `sslmode` as libpq has it, by whose rules psql and pg_dump read the same URL: `require` asks for TLS,
 * `verify-full` for a certificate that is trusted too. node-postgres would take the first for the
 * second, and refuse every managed PostgreSQL with a certificate authority of its own.
 */
function asLibpqReads(address: string): string {
  const url = new URL(address);
  if (!url.searchParams.has('sslmode')) return address;
  url.searchParams.set('uselibpqcompat', 'true');
  return url.href;
}

async function openNeonPool(options: PoolOptions): Promise<Pool> {
  const {
    neonConfig,
    Client: NeonClient,
    Pool: NeonPool,
    types,
  } = await import('@neondatabase/serverless');
  neonConfig.webSocketConstructor = await webSocket();
  const config = configOf(options, types.getTypeParser);
  const pool = new NeonPool(config)
    .on('error', ignore)
    .on('connect', ignoreErrorsOf)
    .on('connect', options.onConnect);
  pool.Client = class extends NeonClient {
    constructor(own?: ClientConfig) {
      super(own);
      endWhenSilent(this, options.connectTimeoutMs);
    }
  };
  return {
    connect: async () => {
      const client = await pool.connect();
      return {
        query: (text, values) => client.query(text, values),
        queryText: (text) => client.query<TextRow>({ text, rowMode: 'array', types: asText }),
        copyFrom: () => Promise.reject(new Error("Neon's driver carries no COPY")),
        release: (destroy) => client.release(destroy),
      };
    },
    end: () => Promise.race([pool.end(), emptied(pool)]),
  };
}

/**
 * Gives a try to connect up, as `connectionTimeoutMillis` would, whose timers fire as well when this
 * process had no time to read the server's answer.
 */
function endWhenSilent(
  client: {
    connection: { stream: { destroy(error?: Error): unknown } };
    once(event: 'connect' | 'end', listener: () => void): unknown;
  },
  limitMs: number,
): void {
  const stop = countDown(limitMs, () => {
    client.connection.stream.destroy(new DeadlineError('it does not answer'));
  });
  client.once('connect', stop);
  client.once('end', stop);
}

/** Neon's pool never says that it has ended when a connection is lost while it waits for that one. */
async function emptied(pool: { readonly totalCount: number }): Promise<void> {
  while (pool.totalCount > 0) await sleep(50);
}

/** How long a peer may take to say goodbye, before its socket is closed without. */
const goodbyeMaxMs = 100;

/**
 * Not Node's own WebSocket, which does not say why it cannot connect. `close` would wait 30 s for a
 * peer that has fallen silent, and with it the request that has just given the connection up.
 */
async function webSocket() {
  const { WebSocket } = await import('ws');
  return class extends WebSocket {
    override close(code?: number, reason?: string): void {
      super.close(code, reason);
      setTimeout(() => this.terminate(), goodbyeMaxMs);
    }
  };
}

function configOf(options: PoolOptions, getTypeParser: TypeParser): PoolConfig {
  const int8 = 20;
  return {
    connectionString: options.url,
    max: options.connectionsMax,
    idleTimeoutMillis: options.idleTimeoutMs,
    query_timeout: options.queryTimeoutMs,
    application_name: options.name,
    types: {
      // bigint as number: ids, offsets and counts here stay far below 2^53. NUMERIC stays text.
      getTypeParser: (typeId: number, format?: 'text' | 'binary') =>
        typeId === int8 ? Number : getTypeParser(typeId, format),
    },
  };
}

const asText = { getTypeParser: () => (value: string) => value };

// A connection that the server closes is replaced at the next use, and what it was working on
// fails. Its error event says nothing more, but unhandled it would end the process. The pool hears
// it only while the connection is idle, so each connection has a listener of its own.
const ignore = () => {};
const ignoreErrorsOf = (client: { on(event: 'error', listener: () => void): unknown }) => {
  client.on('error', ignore);
};
