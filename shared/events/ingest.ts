import type { Database, Transaction } from '../platform/database/db.ts';
import { activeTrace } from '../platform/telemetry/tracing.ts';
import { type Conflict, contentConflict } from './conflict.ts';
import type { UsageEvent } from './usage-event.ts';

/** What one transaction stores: the valid events of a stretch of the stream, and its end. */
export interface IngestBatch {
  /** The stream's (or partition's) name, or `http` for events taken without a stream. */
  stream: string;
  events: readonly UsageEvent[];
  /**
   * Messages that were no valid events and are already in the dead-letter queue, and events that
   * were refused over HTTP.
   */
  rejected: number;
  /** Events that were taken out before (see `withoutRestamped`); counted as conflicts. */
  restamped?: readonly Conflict[];
  /** Where the stretch lies and the lease it was read under; null without a stream. */
  position: BatchPosition | null;
}

export interface BatchPosition {
  firstOffset: number;
  lastOffset: number;
  epoch: number;
  /** Of the message at `lastOffset` (see `messageDigest`); null where it is not known. */
  digest?: string | null;
  /** Messages that retention removed before or within this stretch; counted with it. */
  lost?: number;
}

export interface IngestResult {
  batchId: number;
  stored: number;
  /** Events that were stored before, or came twice in this batch. */
  duplicates: number;
  /** Those of the duplicates that differ from what is stored. */
  conflicts: number;
  /** These, `restamped` first. */
  conflicting: readonly Conflict[];
  /** The other duplicates; empty unless `namesRepeated`. */
  repeated: readonly UsageEvent[];
}

/** Thrown when another consumer took the stream over: the batch is not stored here. */
export class LeaseLostError extends Error {
  override name = 'LeaseLostError';
}

/** The step a test may break the transaction after. */
export type IngestStep = 'copy' | 'insert' | 'offset' | 'commit';

export interface IngestOptions {
  /** Milliseconds that a lease is extended by with each batch. */
  leaseMs?: number;
  /**
   * Called where there are conflicts, before the commit: none may count as turned away that is not
   * kept elsewhere. The rows are locked meanwhile, and the server waits 5 s for it at most.
   */
  onConflicts?: (conflicts: readonly Conflict[]) => Promise<void>;
  /** Whether `repeated` is wanted: naming them costs what a few hundred rows do. */
  namesRepeated?: boolean;
  /** Called after each step; what it throws aborts there. For fault tests. */
  failpoint?: (step: IngestStep) => void | Promise<void>;
}

const columns = [
  'org_id',
  'occurred_at',
  'event_id',
  'model_id',
  'actor_id',
  'client_id',
  'latency_ms',
  'status',
  'error_code',
  'input_tokens',
  'output_tokens',
  'cost_estimate_cents',
  'input_cost_cents',
  'output_cost_cents',
  'metadata',
] as const;
const columnList = columns.join(', ');

/**
 * Its name carries a version: a pooled session may keep one made by an older release. Positions go
 * on from batch to batch for as long as the session lives, and an integer's would run out in a busy
 * day. The setting lets a late event into a compressed chunk; without TimescaleDB it is a name that
 * nobody reads.
 */
const createStage = `
  create temp table if not exists usage_stage_2 (
    org_id uuid, occurred_at timestamptz, event_id uuid, model_id uuid, actor_id uuid,
    client_id text, latency_ms integer, status analytics.usage_status, error_code text,
    input_tokens bigint, output_tokens bigint, cost_estimate_cents numeric(18, 4),
    input_cost_cents numeric(18, 4), output_cost_cents numeric(18, 4), metadata jsonb,
    position bigint generated always as identity
  ) on commit delete rows;
  set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0`;

/**
 * A batch in which all is in conflict has as many letters to send, and the database waits meanwhile: by
 * the limit for other transactions it would be ended, and repeated for ever with a slow broker.
 */
const conflictsMaxMs = 120_000;

/**
 * Stores a batch exactly once: rows, counts and the stream's offset in one transaction (DESIGN 1),
 * by COPY into a temporary table and one sorted insert (DESIGN 4: 105k rows/s where a row at a
 * time reaches 3k; without the sort three ingesters met 15 deadlocks in 12 s).
 *
 * Not taken: COPY straight into the table, with this way behind a savepoint for batches that hold a
 * duplicate. It took 4.2 us of the database a row instead of 8.0 (the bare rows, without the batch's
 * own two statements), and 1.7 more of the consumer, which then has to sort.
 *
 * Of events with the same key the first in the batch is kept. Days that events fall on must have
 * their partitions (see `ensureDays`).
 *
 * @throws LeaseLostError when `position.epoch` is no longer the stream's.
 */
export async function ingest(
  database: Database,
  batch: IngestBatch,
  options: IngestOptions = {},
): Promise<IngestResult> {
  const { leaseMs = 10_000, failpoint = () => {}, onConflicts, namesRepeated = false } = options;
  // Asked here: within the transaction the active span is one of its statements.
  const traceparent = activeTrace()?.traceparent ?? null;
  const result = await database.transaction(
    { prelude: createStage, statementTimeoutMs: 60_000, lockTimeoutMs: 20_000 },
    async (transaction) => {
      await stage(database, transaction, batch.events);
      await failpoint('copy');
      const outcome = await insert(transaction, batch, traceparent, namesRepeated);
      await failpoint('insert');
      if (outcome.conflicts > 0 && onConflicts !== undefined) {
        await transaction.query(
          `set local idle_in_transaction_session_timeout = ${conflictsMaxMs}`,
        );
        await onConflicts(outcome.conflicting);
      }
      await advance(transaction, batch, outcome, leaseMs);
      await failpoint('offset');
      return outcome;
    },
  );
  await failpoint('commit');
  return result;
}

async function stage(
  database: Database,
  transaction: Transaction,
  events: readonly UsageEvent[],
): Promise<void> {
  if (events.length === 0) return;
  if (database.canCopy) {
    const statement = `copy usage_stage_2 (${columnList}) from stdin`;
    await transaction.copyFrom(statement, Buffer.from(events.map(copyLine).join('')));
    return;
  }
  await transaction.query(
    `insert into usage_stage_2 (${columnList})
     select * from unnest(
       $1::uuid[], $2::timestamptz[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[],
       $7::integer[], $8::analytics.usage_status[], $9::text[], $10::bigint[], $11::bigint[],
       $12::numeric[], $13::numeric[], $14::numeric[], $15::jsonb[])`,
    transpose(events.map(cells)),
  );
}

/** A row's cells as text, in the order of `columns`. */
function cells(event: UsageEvent): (string | null)[] {
  return [
    event.orgId,
    isoText(event.occurredAtMs),
    event.eventId,
    event.modelId,
    event.actorId,
    event.clientId,
    String(event.latencyMs),
    event.status,
    event.errorCode,
    String(event.inputTokens),
    String(event.outputTokens),
    event.costEstimateCents,
    event.inputCostCents,
    event.outputCostCents,
    event.metadata === null ? null : JSON.stringify(event.metadata),
  ];
}

let isoSecond = Number.NaN;
let isoStart = '';

/** As Date's toISOString, which took 0.47 us of an event: neighbours fall into the same second. */
function isoText(ms: number): string {
  const second = Math.floor(ms / 1_000);
  if (second !== isoSecond) {
    isoStart = new Date(second * 1_000).toISOString().slice(0, -4);
    isoSecond = second;
  }
  return `${isoStart}${String(ms - second * 1_000).padStart(3, '0')}Z`;
}

function transpose(rows: readonly (string | null)[][]): (string | null)[][] {
  return columns.map((_, index) => rows.map((row) => row[index] ?? null));
}

/**
 * A line of COPY's text format. Only free text can hold what needs escaping: to look through every
 * cell took half of the time (2.1 us an event, now 1.1).
 */
export function copyLine(event: UsageEvent): string {
  const line = cells(event);
  for (const index of freeText) {
    const cell = line[index];
    if (cell && /[\\\t\n\r]/.test(cell)) line[index] = escapeCell(cell);
  }
  // join() writes null as nothing, which would be an empty text.
  for (const index of nullable) line[index] ??= '\\N';
  return `${line.join('\t')}\n`;
}

const freeText = indexesOf('client_id', 'error_code', 'metadata');
const nullable = indexesOf(
  'actor_id',
  'error_code',
  'input_cost_cents',
  'output_cost_cents',
  'metadata',
);

function indexesOf(...names: (typeof columns)[number][]): number[] {
  return names.map((name) => columns.indexOf(name));
}

const escapes: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

function escapeCell(cell: string): string {
  return cell.replace(/[\\\t\n\r]/g, (character) => escapes[character] ?? character);
}

async function insert(
  transaction: Transaction,
  batch: IngestBatch,
  traceparent: string | null,
  namesRepeated: boolean,
): Promise<IngestResult> {
  const { events, stream, rejected, position, restamped = [] } = batch;
  const [first, last] = timeRange(events);
  const [counted] = await transaction.query<{ batch_id: number; stored: number }>(
    `with batch as (
       select nextval('analytics.ingestion_batches_batch_id_seq') as batch_id
     ), inserted as (
       insert into analytics.usage_events (${columnList}, batch_id)
       select ${columnList}, (select batch_id from batch)
       from (
         select distinct on (org_id, occurred_at, event_id) ${columnList}
         from usage_stage_2
         order by org_id, occurred_at, event_id, position
       ) as first_of_each
       order by org_id, occurred_at, event_id
       on conflict do nothing
       returning 1
     )
     select (select batch_id from batch) as batch_id,
            (select count(*) from inserted)::int as stored`,
  );
  if (counted === undefined) throw new Error('the insert returned no count');
  const { batch_id: batchId, stored } = counted;
  const duplicates = events.length - stored + restamped.length;
  const found =
    events.length === stored || first === null || last === null
      ? []
      : await findConflicts(transaction, events, first, last);
  const conflicting = [...restamped, ...found];
  const conflicts = conflicting.length;
  const repeated =
    namesRepeated && duplicates > conflicts
      ? await findRepeated(transaction, events, batchId, conflicting)
      : [];
  await transaction.query(
    `insert into analytics.ingestion_batches (
       batch_id, stream, first_offset, last_offset, received, stored, duplicates, conflicts,
       rejected, min_occurred_at, max_occurred_at, traceparent, folded_at
     ) overriding system value
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
             case when $6 = 0 then clock_timestamp() end)`,
    [
      batchId,
      stream,
      position?.firstOffset ?? null,
      position?.lastOffset ?? null,
      events.length + rejected + restamped.length,
      stored,
      duplicates,
      conflicts,
      rejected,
      first,
      last,
      traceparent,
    ],
  );
  return { batchId, stored, duplicates, conflicts, conflicting, repeated };
}

/** What a stored event may differ in, as its JSON and its row name it: everything but its key. */
const contentColumns = {
  modelId: 'model_id',
  actorId: 'actor_id',
  clientId: 'client_id',
  latencyMs: 'latency_ms',
  status: 'status',
  errorCode: 'error_code',
  inputTokens: 'input_tokens',
  outputTokens: 'output_tokens',
  costEstimateCents: 'cost_estimate_cents',
  inputCostCents: 'input_cost_cents',
  outputCostCents: 'output_cost_cents',
  metadata: 'metadata',
} as const satisfies Record<
  Exclude<keyof UsageEvent, 'orgId' | 'occurredAtMs' | 'eventId'>,
  (typeof columns)[number]
>;
const content = Object.entries(contentColumns);

/** A staged row's place in its batch, since positions go on from batch to batch. */
const placeOfStaged = '(staged.position - (select min(position) from usage_stage_2))::int';

/**
 * Staged rows that differ from the stored row of their key, and in what. The bounds are parameters,
 * so that only the partitions in question are opened.
 */
async function findConflicts(
  transaction: Transaction,
  events: readonly UsageEvent[],
  first: Date,
  last: Date,
): Promise<Conflict[]> {
  const payload = (row: string) => content.map(([, column]) => `${row}.${column}`).join(', ');
  const fields = content
    .map(([field, column]) => {
      const differs = `staged.${column} is distinct from stored.${column}`;
      return `case when ${differs} then '${field}' end`;
    })
    .join(', ');
  const rows = await transaction.query<{ place: number; fields: string[] }>(
    `select ${placeOfStaged} as place, array_remove(array[${fields}], null) as fields
     from usage_stage_2 as staged
     join analytics.usage_events as stored using (org_id, occurred_at, event_id)
     where stored.occurred_at >= $1 and stored.occurred_at <= $2
       and (${payload('staged')}) is distinct from (${payload('stored')})
     order by place`,
    [first, last],
  );
  return rows.flatMap(({ place, fields: names }) => {
    const event = events[place];
    return event === undefined ? [] : [contentConflict(event, names)];
  });
}

/** Events that this batch did not store, though nothing differs. */
async function findRepeated(
  transaction: Transaction,
  events: readonly UsageEvent[],
  batchId: number,
  conflicting: readonly Conflict[],
): Promise<UsageEvent[]> {
  const [first, last] = timeRange(events);
  const rows = await transaction.query<{ place: number }>(
    `select ${placeOfStaged} as place
     from (
       select *, row_number() over (partition by org_id, occurred_at, event_id order by position)
                 as turn
       from usage_stage_2
     ) as staged
     join analytics.usage_events as stored using (org_id, occurred_at, event_id)
     where stored.occurred_at >= $1 and stored.occurred_at <= $2
       and (turn > 1 or stored.batch_id <> $3)`,
    [first, last, batchId],
  );
  const differing = new Set(conflicting.map(({ event }) => event));
  return rows.flatMap(({ place }) => events[place] ?? []).filter((event) => !differing.has(event));
}

function timeRange(events: readonly UsageEvent[]): [Date, Date] | [null, null] {
  if (events.length === 0) return [null, null];
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const { occurredAtMs } of events) {
    if (occurredAtMs < min) min = occurredAtMs;
    if (occurredAtMs > max) max = occurredAtMs;
  }
  return [new Date(min), new Date(max)];
}

/**
 * Moves the stream's offset and totals. The epoch is the fence: a consumer whose lease went to
 * another changes no row, and its whole batch is rolled back.
 */
async function advance(
  transaction: Transaction,
  batch: IngestBatch,
  { stored, duplicates, conflicts }: IngestResult,
  leaseMs: number,
): Promise<void> {
  const totals = [batch.stream, stored, duplicates, conflicts, batch.rejected];
  if (batch.position === null) {
    await transaction.query(
      `insert into analytics.stream_offsets as s
         (stream, committed_at, events_stored, events_duplicate, events_conflicting, events_rejected)
       values ($1, clock_timestamp(), $2, $3, $4, $5)
       on conflict (stream) do update set
         committed_at = excluded.committed_at,
         events_stored = s.events_stored + excluded.events_stored,
         events_duplicate = s.events_duplicate + excluded.events_duplicate,
         events_conflicting = s.events_conflicting + excluded.events_conflicting,
         events_rejected = s.events_rejected + excluded.events_rejected`,
      totals,
    );
    return;
  }
  const { lastOffset, epoch, digest = null, lost = 0 } = batch.position;
  const moved = await transaction.query(
    `update analytics.stream_offsets set
       committed_offset = $6,
       committed_digest = $9,
       messages_lost = messages_lost + $10,
       committed_at = clock_timestamp(),
       head_offset = greatest(head_offset, $6),
       complete_through = case when $6 >= target_offset then target_probed_at
                               else complete_through end,
       target_offset = case when $6 >= target_offset then null else target_offset end,
       lease_expires_at = clock_timestamp() + make_interval(secs => $8),
       events_stored = events_stored + $2,
       events_duplicate = events_duplicate + $3,
       events_conflicting = events_conflicting + $4,
       events_rejected = events_rejected + $5
     where stream = $1 and epoch = $7
     returning stream`,
    [...totals, lastOffset, epoch, leaseMs / 1_000, digest, lost],
  );
  if (moved.length === 0) {
    throw new LeaseLostError(`the lease of ${batch.stream} went to another consumer`);
  }
}
