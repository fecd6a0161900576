import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { recordings } from '../scripts/dashboards/recordings.ts';
import { roles } from '../shared/access.ts';
import {
  runbook,
  runbookAnchors,
  runbookBlocks,
  runbookCommands,
  runbookInlines,
  runbookSections,
} from './support/runbook.ts';
import { type System, startSystem } from './support/system.ts';
import { usageEvent } from './support/usage-events.ts';

const docs = new URL('../docs/', import.meta.url);
const sections = runbookSections();
const anchors = runbookAnchors();

test('every npm command in the documents exists', async () => {
  const { scripts } = z
    .object({ scripts: z.record(z.string(), z.string()) })
    .parse(JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')));
  const known = new Set(Object.keys(scripts));
  for (const name of await readdir(docs)) {
    if (!name.endsWith('.md')) continue;
    const text = await readFile(new URL(name, docs), 'utf8');
    const used = [...text.matchAll(/npm run (?:--silent )?([a-z][\w:-]*)/g)].map(([, one]) => one);
    for (const script of used) expect(known, name).toContain(script);
  }
});

test('every link within the runbook leads to a section', () => {
  const links = [...runbook.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor);
  expect(links.length).toBeGreaterThan(20);
  for (const anchor of links) expect(anchors).toContain(anchor);
});

test('every file that the runbook names is there', () => {
  const files = runbookInlines().filter((text) =>
    /^(dashboards|functions|knative)\/\S+$/.test(text),
  );
  expect(files.length).toBeGreaterThan(5);
  for (const file of files)
    expect(existsSync(new URL(`../${file}`, import.meta.url)), file).toBe(true);
});

test('every row of the mission’s troubleshooting table has its section', () => {
  for (const row of [
    'consumer-stuck-with-increasing-lag',
    'timescale-aggregate-stale',
    'export-job-fails-with-permission-error',
    'rbac-middleware-rejecting-requests',
    'export-job-stuck-in-pending',
    'dashboard-missing-data',
    'local-tests-unable-to-start-rabbitmq',
  ]) {
    expect(anchors).toContain(row);
  }
});

/** What is not about one thing that is wrong. */
const general = ['runbook', 'first-look', 'alerts', 'troubleshooting', 'schema-migrations'];
const troubles = [...anchors].filter((anchor) => !general.includes(anchor));

test.each(troubles)('%s: how to see it, why, and what to do, or where that is', (anchor) => {
  const linked = [...(sections.get(anchor) ?? '').matchAll(/\]\(#([^)]+)\)/g)];
  const told = [anchor, ...linked.map(([, other = '']) => other)].map(parts);
  expect(told).toContainEqual({ see: true, why: true, do: true });
});

function parts(anchor: string) {
  const text = sections.get(anchor) ?? '';
  const columns = /^\| what you see \|(.*)$/m.exec(text)?.[1] ?? '';
  return {
    see: text.includes('**See**'),
    why: text.includes('**Why') || columns.includes(' why '),
    do: text.includes('**Do') || columns.includes(' what to do '),
  };
}

test('messages that the runbook quotes are the code’s', async () => {
  const commands = new Set(runbookCommands());
  const quoted = runbookInlines().filter(
    (text) => /^[A-Za-z: ]+$/.test(text) && text.includes(' ') && !commands.has(text),
  );
  expect(quoted.length).toBeGreaterThan(7);
  const code = (await Promise.all(['functions', 'shared', 'scripts'].map(sourcesIn))).join('');
  for (const words of quoted) expect(code).toContain(words);
});

async function sourcesIn(folder: string): Promise<string> {
  const url = new URL(`../${folder}/`, import.meta.url);
  const names = await readdir(url, { recursive: true });
  const files = names.filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  return (await Promise.all(files.map((name) => readFile(new URL(name, url), 'utf8')))).join('');
}

describe('on the service', () => {
  let system: System;
  beforeAll(async () => {
    system = await startSystem({ stream: false });
    await system.sink.accept([usageEvent()]);
    await system.refresh();
    await system.verify();
  });
  afterAll(() => system.close());

  test('every metric that the runbook names is exported, or recorded by a rule', async () => {
    const metrics = await (await system.app.request('/metrics')).text();
    const known = new Set([
      ...[...metrics.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name),
      ...recordings.map(({ record }) => record),
    ]);
    const all = [...Object.values<string>(roles), 'analytics_tenant', 'analytics_operator'];
    const isRole = (name: string) => all.includes(name);
    const named = new Set(
      runbook
        .match(/\b(?:analytics_[a-z0-9_]+|analytics:[a-z0-9_]+:[a-z0-9_]+)/g)
        ?.filter((name) => !isRole(name)),
    );
    expect(named.size).toBeGreaterThan(10);
    for (const name of named) expect(known).toContain(name);
  });

  const blocks = runbookBlocks('sql').map((sql) => ({ sql, begins: sql.split('\n')[0] ?? '' }));

  test.each(blocks)('$begins …', async ({ sql }) => {
    const client = new pg.Client({ connectionString: system.settings.DATABASE_URL });
    await client.connect();
    try {
      const isRead = /^select\b/.test(sql);
      await client.query(`begin${isRead ? ' read only' : ''}`);
      await client.query(sql);
      await client.query('rollback');
    } finally {
      await client.end();
    }
  });
});
