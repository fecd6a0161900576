import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import pg from 'pg';
import { type Figure, isMet, type Scale } from './figure.ts';

/** A run of the bench, as `docs/performance.json` keeps it. */
export interface Report {
  scale: Scale;
  rounds: number;
  /** The day it ended, in UTC. */
  date: string;
  machine: string;
  versions: string[];
  figures: Figure[];
}

/** What the figures were measured on. */
export function machine(): string {
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return (
    `${cpus().length} x ${cpu?.model.trim() ?? 'unknown processor'}, ${memory} GiB, ` +
    `${osName()}, Node ${process.version.slice(1)}`
  );
}

function osName(): string {
  try {
    const text = readFileSync('/etc/os-release', 'utf8');
    return /^PRETTY_NAME="(.*)"$/m.exec(text)?.[1] ?? process.platform;
  } catch {
    return process.platform;
  }
}

/** The servers' versions, and the settings of theirs that a figure depends on. */
export async function versionsOf(env: {
  DATABASE_URL?: string;
  RABBITMQ_URL?: string;
}): Promise<string[]> {
  const versions: string[] = [];
  if (env.DATABASE_URL !== undefined) versions.push(await postgresVersion(env.DATABASE_URL));
  if (env.RABBITMQ_URL !== undefined) versions.push(await rabbitmqVersion(env.RABBITMQ_URL));
  return versions;
}

const settings = ['fsync', 'synchronous_commit', 'shared_buffers', 'max_locks_per_transaction'];

async function postgresVersion(connectionString: string): Promise<string> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    const { rows } = await client.query<{ version: string; set: string }>(
      `select current_setting('server_version') as version,
              string_agg(name || ' ' || current_setting(name), ', ' order by name) as set
       from unnest($1::text[]) as name`,
      [settings],
    );
    return `PostgreSQL ${rows[0]?.version} (${rows[0]?.set})`;
  } finally {
    await client.end();
  }
}

async function rabbitmqVersion(url: string): Promise<string> {
  const { connect } = await import('amqplib');
  const connection = await connect(url);
  try {
    return `RabbitMQ ${connection.connection.serverProperties.version}`;
  } finally {
    await connection.close();
  }
}

/** A figure as one line of JSON. */
export function jsonLine({ name, value, unit, ceiling, ratio, goal, higherIsBetter }: Figure) {
  return JSON.stringify({ name, value, unit, ceiling, ratio, goal, higherIsBetter });
}

/** The figures as a Markdown table, which reads well in a terminal too. */
export function table(figures: readonly Figure[]): string {
  const rows = [
    ['figure', 'value', 'ceiling', 'ratio', 'least to greatest', 'goal', 'met', 'peak'],
    ...figures.map((figure) => [
      figure.name,
      `${short(figure.value)} ${figure.unit}`,
      figure.ceiling === null ? '' : short(figure.ceiling),
      figure.ratio === null ? '' : short(figure.ratio),
      figure.spread.map(short).join(' to '),
      figure.goal === null ? '' : `${figure.higherIsBetter ? '≥' : '≤'} ${figure.goal}`,
      { true: 'yes', false: 'NO', null: '' }[String(isMet(figure)) as 'true' | 'false' | 'null'],
      figure.peakMb === null ? '' : `${Math.round(figure.peakMb)} MB`,
    ]),
  ];
  const widths = rows[0]?.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths?.[column] ?? 0)).join(' | ')} |`;
  const [header = [], ...body] = rows;
  const rule = `|${widths?.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(header), rule, ...body.map(line)].join('\n');
}

/** Three digits that mean something. */
export function short(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}
