import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createExportJob, type ExportJob, readExportJob } from '../../shared/exports/job.ts';
import { usageFormat } from '../../shared/exports/usage.ts';
import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import { planWindow } from '../../shared/queries/time-window.ts';
import { Values } from '../../shared/queries/window-sql.ts';
import { pendingBatches } from '../../shared/rollups/pending-batches.ts';
import { runCommand } from '../services/run-command.ts';
import { openApi, pingOf } from './api.ts';
import { benchDatabase } from './database.ts';
import { type Bench, type BenchContext, type Figure, interleave, median } from './figure.ts';
import { bundleOf, startProgram } from './program.ts';

const hourMs = 3_600_000;
const orgId = '00000000-0000-4000-8000-00000000b001';
const [models, clients] = [40, 5];
const rowsPerHour = models * clients;

/** An export of hourly rows, from its claim to its end, beside what psql does with the query. */
export const exportBench: Bench = {
  name: 'export',
  needs: ['postgres', 's3'],
  run: async (context) => {
    const { scale, rounds, say } = context;
    const rows = { tiny: 20_000, small: 300_000, full: 2_000_000 }[scale];
    const largest = { tiny: 200_000, small: 600_000, full: 5_000_000 }[scale];
    const server = await benchDatabase(context.env.DATABASE_URL);
    const database = openDatabase({ url: server.url, patienceMs: 5_000 });
    try {
      say(`export: making ${largest} hourly rows`);
      const endMs = Math.floor(Date.now() / hourMs) * hourMs;
      await makeRollups(database, endMs, Math.ceil(largest / rowsPerHour));
      const ask = (count: number) => ({
        orgId,
        format: 'csv' as const,
        granularity: 'hour' as const,
        timezone: 'UTC',
        models: null,
        range: { startMs: endMs - Math.ceil(count / rowsPerHour) * hourMs, endMs },
      });
      const peaks: number[] = [];
      const exported = async (count: number) => {
        const { job, peakMb } = await runWorker(context, server.url, database, ask(count));
        peaks.push(peakMb);
        return { job, peakMb };
      };
      const rate = await interleave(rounds, {
        ours: async () => {
          const { job } = await exported(rows);
          return (job.rowCount ?? 0) / seconds(job);
        },
        ceiling: async () => {
          const startedMs = performance.now();
          const copied = await copyByPsql(server.url, database, ask(rows));
          return copied / ((performance.now() - startedMs) / 1_000);
        },
      });
      const small = await exported(100_000);
      const large = await exported(largest);
      return [
        {
          name: 'export',
          unit: 'rows/s',
          ...rate,
          goal: 0.5,
          higherIsBetter: true,
          peakMb: median(peaks),
          what:
            `an export of ${rows.toLocaleString('en-US')} hourly rows as CSV into object storage, ` +
            'from claim to success; ceiling: psql \\copy of the same query to stdout',
        },
        memoryFigure(small.peakMb, large.peakMb),
      ];
    } finally {
      await database.close();
      await server.drop();
    }
  },
};

function memoryFigure(small: number, large: number): Figure {
  const ratio = large / small;
  return {
    name: 'export-memory',
    value: large,
    unit: 'MB',
    ceiling: small,
    ratio,
    spread: [ratio, ratio],
    goal: 1.3,
    higherIsBetter: false,
    peakMb: large,
    what: 'peak memory of the worker with the most rows; beside it with 100,000',
  };
}

/** Hourly rollups as folding would leave them: 8 bins of latency in each. */
async function makeRollups(database: Database, endMs: number, hours: number): Promise<void> {
  await database.transaction({ statementTimeoutMs: 600_000 }, async (transaction) => {
    await transaction.query(
      `insert into analytics.usage_hourly (
         org_id, bucket_start, model_id, client_id, success_count, error_count, timeout_count,
         throttled_count, input_tokens, output_tokens, cost_estimate_cents, latency_histogram
       )
       select $1, hour, ('00000000-0000-4000-8000-' || lpad(to_hex(model), 12, '0'))::uuid,
              'client-' || client, 90, 5, 3, 2, 100000 + model, 50000 + client, 123.4567,
              array(select (5 + bin) * 512 + 100 + bin * 9 + model % 7
                    from generate_series(1, 8) as bin)
       from generate_series($2::timestamptz, $3::timestamptz, interval '1 hour') as hour,
            generate_series(1, $4::int) as model, generate_series(1, $5::int) as client`,
      [orgId, new Date(endMs - hours * hourMs), new Date(endMs - hourMs), models, clients],
    );
  });
  await database.query('vacuum analyze analytics.usage_hourly');
}

type Request = Parameters<typeof usageFormat>[0]['request'];

/** One export by the built worker in a process of its own. */
async function runWorker(
  { env }: BenchContext,
  url: string,
  database: Database,
  request: Request,
): Promise<{ job: ExportJob; peakMb: number }> {
  const created = await createExportJob(database, {
    ...request,
    initiatedBy: `bench-${randomUUID()}`,
    idempotencyKey: null,
  });
  const { DATABASE_URL: _, ...stores } = env;
  const worker = await startProgram(bundleOf('export-worker'), { ...stores, DATABASE_URL: url });
  const api = openApi(worker.url);
  try {
    await api.send('/', pingOf('exports'));
    const job = await readExportJob(database, request.orgId, created.jobId);
    if (job?.status !== 'succeeded') throw new Error(`export ${job?.status}: ${job?.error}`);
    return { job, peakMb: await worker.peakMb() };
  } finally {
    api.close();
    await worker.stop();
  }
}

function seconds({ startedAt, completedAt }: ExportJob): number {
  return ((completedAt?.getTime() ?? Number.NaN) - (startedAt?.getTime() ?? Number.NaN)) / 1_000;
}

/** `\copy (the same query) to stdout`, thrown away; gives the number of rows. */
async function copyByPsql(url: string, database: Database, request: Request): Promise<number> {
  const plan = planWindow({
    ...request.range,
    granularity: request.granularity,
    timeZone: request.timezone,
  });
  const values = new Values();
  const pending = await database.transaction({ mode: 'snapshot' }, pendingBatches);
  const statement = usageFormat({ request, plan, pending }).statement(values);
  const query = statement
    .replace(/\$(\d+)/g, (_, index) => literal(values.list[Number(index) - 1]))
    .replaceAll('\n', ' ');
  const folder = await mkdtemp(join(tmpdir(), 'bench-'));
  try {
    const file = join(folder, 'copy.sql');
    await writeFile(file, `\\copy (${query}) to stdout\n`);
    const command =
      'psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname="$1" --file="$2" | wc -l';
    const env = { ...process.env, PGOPTIONS: '-c jit=off -c search_path=analytics' };
    const args = ['-c', command, 'sh', url, file];
    return Number(await runCommand('sh', args, { timeoutMs: 600_000, env }));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A parameter written into the statement: psql of this version takes none. All are ours. */
function literal(value: unknown): string {
  if (value instanceof Date) return `'${value.toISOString()}'`;
  if (typeof value === 'string') return `'${value}'`;
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => (item instanceof Date ? item.toISOString() : item));
    return `'{${items.join(',')}}'`;
  }
  throw new Error(`no literal for ${typeof value}`);
}
