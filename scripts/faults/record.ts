import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { machine } from '../bench/report.ts';
import { postgresBinDir, RABBITMQ_SERVER } from '../services/debian.ts';

export type Form = 'short' | 'long';

/** What came of one fault, a line of JSON. Counts are of events unless they say otherwise. */
export const recordForm = z.object({
  fault: z.string(),
  form: z.enum(['short', 'long']),
  at: z.iso.datetime(),
  seed: z.int(),
  /** Distinct events that the broker confirmed. */
  sent: z.int(),
  /** From the first event offered to the last one confirmed. */
  sentPerSecond: z.int(),
  stored: z.int(),
  duplicates: z.int(),
  rejected: z.int(),
  /** Counted as lost by the service itself, messages. */
  lost: z.int(),
  /** From the end of the fault until everything sent by then was stored. */
  caughtUpSeconds: z.number().nullable(),
  /** From a system at work, through the fault, to the verdict. Earlier runs do not have it. */
  wholeSeconds: z.number().nullable().default(null),
  consumerPeakMb: z.int().nullable(),
  /** How often the platform had to start a consumer again. */
  consumerRestarts: z.int(),
  /** What the usage API answered meanwhile, requests. */
  answers: z.object({ complete: z.int(), unavailable: z.int() }),
  notes: z.array(z.string()),
  /** Empty when everything held. */
  problems: z.array(z.string()),
  machine: z.string(),
  servers: z.string(),
});
export type FaultRecord = z.output<typeof recordForm>;

/** What docs/reliability.md is made from: the last record of each fault and form. */
export const resultsFile = fileURLToPath(new URL('../../docs/reliability.jsonl', import.meta.url));

export function readRecords(file: string): FaultRecord[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => recordForm.parse(JSON.parse(line)));
}

/** In place of the last record of that fault and form, where FAULTS_RECORDS names a file. */
export function writeRecord(record: Omit<FaultRecord, 'at' | 'machine' | 'servers'>): void {
  const file = process.env.FAULTS_RECORDS;
  if (file === undefined) return;
  const whole: FaultRecord = {
    ...record,
    at: new Date().toISOString(),
    machine: machine(),
    servers: serverVersions(),
  };
  const key = ({ fault, form }: FaultRecord) => `${fault}/${form}`;
  const kept = readRecords(file).filter((other) => key(other) !== key(whole));
  const sorted = [...kept, whole].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  writeFileSync(file, sorted.map((one) => `${JSON.stringify(one)}\n`).join(''));
}

function serverVersions(): string {
  const says = (command: string, ...args: string[]) => {
    const said = execFileSync(command, args, { encoding: 'utf8', timeout: 30_000 });
    return /\d+(\.\d+)+/.exec(said)?.[0] ?? 'of an unknown version';
  };
  const postgres = says(`${postgresBinDir()}/postgres`, '--version');
  const redis = says('redis-server', '--version');
  return `PostgreSQL ${postgres}, RabbitMQ ${rabbitmqVersion()}, Redis ${redis}`;
}

/** Its programs take seconds to say so; the folder of its code has it in the name. */
function rabbitmqVersion(): string {
  const folders = execFileSync('ls', [RABBITMQ_SERVER.replace(/bin\/[^/]*$/, 'lib')], {
    encoding: 'utf8',
  });
  return /rabbitmq_server-([\d.]+)/.exec(folders)?.[1] ?? 'of an unknown version';
}
