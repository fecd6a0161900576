import { expect, test } from 'vitest';
import { summaryOf } from '../database/sql-span.ts';
import { activeTrace, inSpan, isTracing, linksTo, traceIn } from './tracing.ts';

test.each([
  ['select 1', 'SELECT'],
  ['select pg_try_advisory_xact_lock($1) as held', 'SELECT'],
  ['  select name\n from analytics.orgs where org_id = $1', 'SELECT analytics.orgs'],
  [
    'with a as (select 1 from analytics.models) select * from analytics.orgs',
    'SELECT analytics.models',
  ],
  [
    'with written as (insert into analytics.usage_hourly as r select 1 from usage_increment_2 on conflict do update set x = 1) select 1',
    'INSERT analytics.usage_hourly',
  ],
  ['update analytics.export_jobs set x = 1', 'UPDATE analytics.export_jobs'],
  ['select 1 from analytics.export_jobs for update skip locked', 'SELECT analytics.export_jobs'],
  ['delete from analytics.usage_daily where x', 'DELETE analytics.usage_daily'],
  ['copy usage_stage_1 (a, b) from stdin', 'COPY usage_stage_1'],
  ['begin', 'BEGIN'],
  ['', ''],
])('%j is summed up as %j', (statement, expected) => {
  expect(summaryOf(statement)).toBe(expected);
});

const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

test.each([
  [{ traceparent }, { traceparent }],
  [
    { traceparent, tracestate: 'a=b' },
    { traceparent, tracestate: 'a=b' },
  ],
  [{ traceparent, tracestate: 'x'.repeat(513) }, { traceparent }],
  [{ traceparent, tracestate: Buffer.from('a=b') }, { traceparent }],
  [{}, undefined],
  [{ traceparent: '' }, undefined],
  [{ traceparent: traceparent.toUpperCase() }, undefined],
  [{ traceparent: `${traceparent}-more` }, undefined],
  [{ traceparent: `ff${traceparent.slice(2)}` }, undefined],
  [{ traceparent: Buffer.from(traceparent) }, undefined],
])('of the headers %j the trace is %j', (headers, expected) => {
  expect(traceIn(headers)).toEqual(expected);
});

test('without an SDK work is only done: no context, no links, not even a look at the headers', async () => {
  expect(isTracing()).toBe(false);
  const seen = await inSpan('work', {}, async (span) => [span.isRecording(), activeTrace()]);
  expect(seen).toEqual([false, undefined]);
  const unread: Iterable<never> = {
    [Symbol.iterator]: () => {
      throw new Error('read');
    },
  };
  expect(linksTo(unread)).toEqual([]);
});
