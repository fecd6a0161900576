import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { UsageEvent } from '../shared/events/usage-event.ts';
import type { ExportRequest } from '../shared/exports/job.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { exported } from './support/export-file.ts';
import { type System, startSystem } from './support/system.ts';
import { usageEvent } from './support/usage-events.ts';
import { batchStore } from './support/window-property.ts';
import { tenThousandths } from './support/window-recount.ts';

/** FOCUS 1.2, Cost and Usage: the columns of feature level Mandatory. */
const mandatory = [
  'BilledCost',
  'BillingAccountId',
  'BillingAccountName',
  'BillingCurrency',
  'BillingPeriodEnd',
  'BillingPeriodStart',
  'ChargeCategory',
  'ChargeClass',
  'ChargeDescription',
  'ChargePeriodEnd',
  'ChargePeriodStart',
  'ContractedCost',
  'EffectiveCost',
  'InvoiceIssuerName',
  'ListCost',
  'PricingQuantity',
  'PricingUnit',
  'ProviderName',
  'PublisherName',
  'ServiceCategory',
  'ServiceName',
];
/** Those of them that may be null. */
const nullable = new Set(['ChargeClass', 'ChargeDescription', 'PricingQuantity', 'PricingUnit']);

const dayMs = 86_400_000;
/** A month ago, so that every window of these tests is in the past. */
const now = new Date();
const monthStartMs = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1);

let system: System;
let database: Database;
let store: (events: readonly UsageEvent[]) => Promise<void>;
beforeAll(async () => {
  system = await startSystem({
    stream: false,
    environment: { BILLING_CURRENCY: 'EUR', FOCUS_PROVIDER_NAME: 'Acme, "AI"' },
  });
  database = openDatabase({ url: system.environment.DATABASE_URL ?? '', patienceMs: 5_000 });
  store = batchStore(database);
});
afterAll(async () => {
  await database.close();
  await system.close();
});

async function focusRows(orgId: string, more: Partial<ExportRequest> = {}) {
  const file = await exported(system, database, {
    orgId,
    format: 'focus',
    granularity: 'day',
    timezone: 'UTC',
    models: null,
    range: { startMs: monthStartMs, endMs: monthStartMs + 20 * dayMs },
    ...more,
  });
  expect(file.columns).toEqual(expect.arrayContaining(mandatory));
  expect(file.columns.every((column) => /^(x_)?([A-Z][A-Za-z]+)$/.test(column))).toBe(true);
  for (const row of file.rows) expectSound(row);
  const billed = file.rows.reduce((sum, row) => sum + millionths(row.BilledCost ?? ''), 0n);
  // In units of the currency, of which a cent is a hundredth.
  expect(billed).toBe(tenThousandths(file.job.totals?.costEstimateCents ?? ''));
  return file.rows;
}

/** The rules of FOCUS 1.2 that one row can break. */
function expectSound(row: Record<string, string>): void {
  for (const column of mandatory) {
    if (!nullable.has(column)) expect(row[column], column).not.toBe('');
  }
  const isUsage = row.ChargeCategory === 'Usage';
  expect(['Usage', 'Adjustment']).toContain(row.ChargeCategory);
  for (const column of ['ConsumedQuantity', 'PricingQuantity', 'PricingCategory', 'SkuId']) {
    expect(row[column] !== '', column).toBe(isUsage);
  }
  expect(row.ConsumedUnit === '').toBe(row.ConsumedQuantity === '');
  expect(row.PricingUnit === '').toBe(row.PricingQuantity === '');
  expect(row.SkuMeter === '').toBe(row.SkuId === '');
  expect(row.SubAccountName === '').toBe(row.SubAccountId === '');
  expect(row.BillingCurrency).toBe('EUR');
  expect(row).toMatchObject({ ProviderName: 'Acme, "AI"', InvoiceIssuerName: 'Acme, "AI"' });
  for (const column of ['ListCost', 'ContractedCost', 'EffectiveCost']) {
    expect(row[column]).toBe(row.BilledCost);
  }
  expect(row.BilledCost).toMatch(/^-?\d+(\.\d+)?$/);
  const times = ['BillingPeriodStart', 'ChargePeriodStart', 'ChargePeriodEnd', 'BillingPeriodEnd'];
  const [billingStart, start, end, billingEnd] = times.map((column) => {
    expect(row[column]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    return Date.parse(row[column] ?? '');
  });
  expect(start).toBeGreaterThanOrEqual(billingStart ?? Number.NaN);
  expect(end).toBeGreaterThan(start ?? Number.NaN);
  expect(end).toBeLessThanOrEqual(billingEnd ?? Number.NaN);
}

/** A decimal with at most 6 places as a whole number. */
function millionths(text: string): bigint {
  const [whole = '', fraction = ''] = text.replace('-', '').split('.');
  const amount = BigInt(whole + fraction.padEnd(6, '0'));
  return text.startsWith('-') ? -amount : amount;
}

test('tokens are charged apart where events carry their costs, else by request', async () => {
  const orgId = randomUUID();
  const occurredAtMs = monthStartMs + 3 * dayMs + 3_600_000;
  const split = { inputCostCents: '1.5', outputCostCents: '0.7502' };
  await store([
    usageEvent({ orgId, occurredAtMs, ...split, costEstimateCents: '2.2502' }),
    usageEvent({ orgId, occurredAtMs, ...split, costEstimateCents: '2.2502' }),
    usageEvent({ orgId, occurredAtMs, costEstimateCents: '0.0001', inputTokens: 7 }),
  ]);
  const rows = await focusRows(orgId);
  const period = {
    ChargePeriodStart: new Date(monthStartMs + 3 * dayMs).toISOString().replace('.000', ''),
    ChargePeriodEnd: new Date(monthStartMs + 4 * dayMs).toISOString().replace('.000', ''),
    BillingPeriodStart: new Date(monthStartMs).toISOString().replace('.000', ''),
  };
  const model = usageEvent().modelId;
  expect(rows).toMatchObject([
    {
      ...period,
      ChargeCategory: 'Usage',
      BilledCost: '0.03',
      ConsumedQuantity: '20',
      ConsumedUnit: 'Tokens',
      PricingQuantity: '0.00002',
      PricingUnit: '1000000 Tokens',
      SkuId: `${model}-input`,
      BillingAccountId: orgId,
      SubAccountId: 'web',
      ResourceId: model,
    },
    {
      ...period,
      BilledCost: '0.015004',
      ConsumedQuantity: '40',
      ConsumedUnit: 'Tokens',
      SkuId: `${model}-output`,
    },
    {
      ...period,
      BilledCost: '0.000001',
      ConsumedQuantity: '1',
      ConsumedUnit: 'Requests',
      PricingUnit: 'Requests',
      SkuId: `${model}-request`,
      x_InputTokens: '7',
      x_OutputTokens: '20',
    },
  ]);
});

test.each([
  ['more', '3', '0.0075'],
  ['less', '2', '-0.0025'],
])('an event that costs %s than its tokens leaves an adjustment', async (_, cost, rest) => {
  const orgId = randomUUID();
  await store([
    usageEvent({
      orgId,
      occurredAtMs: monthStartMs + dayMs,
      inputCostCents: '1.5',
      outputCostCents: '0.75',
      costEstimateCents: cost,
    }),
  ]);
  const rows = await focusRows(orgId);
  expect(rows.map((row) => [row.ChargeCategory, row.BilledCost])).toEqual([
    ['Usage', '0.015'],
    ['Usage', '0.0075'],
    ['Adjustment', rest],
  ]);
});

test('a billing account is called by its name, or by its id where it has none', async () => {
  const [named, unnamed] = [randomUUID(), randomUUID()];
  await database.query('insert into analytics.orgs (org_id, name) values ($1, $2)', [
    named,
    'Acme',
  ]);
  const occurredAtMs = monthStartMs + dayMs;
  await store([named, unnamed].map((orgId) => usageEvent({ orgId, occurredAtMs })));
  for (const [orgId, name] of [
    [named, 'Acme'],
    [unnamed, unnamed],
  ] as const) {
    const [row] = await focusRows(orgId);
    expect(row).toMatchObject({ BillingAccountId: orgId, BillingAccountName: name });
  }
});

test('an event with one of the two costs is charged by request', async () => {
  const orgId = randomUUID();
  const occurredAtMs = monthStartMs + dayMs;
  await store([usageEvent({ orgId, occurredAtMs, inputCostCents: '0.1' })]);
  const rows = await focusRows(orgId);
  expect(rows.map((row) => [row.SkuMeter, row.BilledCost])).toEqual([['Requests', '0.001234']]);
});

test('charge periods are local days cut to the window, billing periods local months', async () => {
  const orgId = randomUUID();
  const hourMs = 3_600_000;
  // In Kolkata, 5:30 ahead, both are of the month's first day, the first in the UTC month before.
  await store([
    usageEvent({ orgId, occurredAtMs: monthStartMs - 4 * hourMs }),
    usageEvent({ orgId, occurredAtMs: monthStartMs + 4 * hourMs }),
    usageEvent({ orgId, occurredAtMs: monthStartMs - 6 * hourMs }),
  ]);
  const startMs = monthStartMs - 7 * hourMs;
  const endMs = monthStartMs + 5 * hourMs;
  const rows = await focusRows(orgId, { timezone: 'Asia/Kolkata', range: { startMs, endMs } });
  const time = (ms: number) => new Date(ms).toISOString().replace('.000', '');
  const localMonthMs = monthStartMs - 5.5 * hourMs;
  expect(rows).toMatchObject([
    {
      ConsumedQuantity: '1',
      ChargePeriodStart: time(startMs),
      ChargePeriodEnd: time(localMonthMs),
      BillingPeriodEnd: time(localMonthMs),
    },
    {
      ConsumedQuantity: '2',
      ChargePeriodStart: time(localMonthMs),
      ChargePeriodEnd: time(endMs),
      BillingPeriodStart: time(localMonthMs),
    },
  ]);
});

test.each(['hour', 'month'] as const)('by %s the periods follow', async (granularity) => {
  const orgId = randomUUID();
  const occurredAtMs = monthStartMs + dayMs + 90 * 60_000;
  await store([usageEvent({ orgId, occurredAtMs })]);
  const nextMonthMs = Date.UTC(now.getUTCFullYear(), now.getUTCMonth());
  const range = { startMs: monthStartMs, endMs: nextMonthMs };
  const [row] = await focusRows(orgId, { granularity, range });
  const period = [row?.ChargePeriodStart, row?.ChargePeriodEnd].map((text) =>
    Date.parse(text ?? ''),
  );
  expect(period).toEqual(
    granularity === 'hour'
      ? [monthStartMs + dayMs + 3_600_000, monthStartMs + dayMs + 7_200_000]
      : [monthStartMs, nextMonthMs],
  );
});
