import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { UsageEvent } from '../shared/events/usage-event.ts';
import { type Database, openDatabase } from '../shared/platform/database/db.ts';
import { exported } from './support/export-file.ts';
import {
  conversionComplaints,
  type FocusFile,
  focusFiles,
  knownOf,
  validatorComplaints,
} from './support/focus-complaints.ts';
import {
  brokenRules,
  conversionFaults,
  detected,
  ensureToolkit,
  ensureValidator,
} from './support/focus-judges.ts';
import { type System, startSystem } from './support/system.ts';
import { usageEvent } from './support/usage-events.ts';
import { batchStore } from './support/window-property.ts';

const [hasValidator, hasToolkit] = await Promise.all([ensureValidator(), ensureToolkit()]);

const hourMs = 3_600_000;
/** The month before this one, so that every window is in the past. */
const now = new Date();
const startMs = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1);
const endMs = Date.UTC(now.getUTCFullYear(), now.getUTCMonth());

const split = { inputCostCents: '1.5', outputCostCents: '0.7502', costEstimateCents: '2.2502' };
const failure = {
  status: 'error',
  errorCode: 'upstream',
  inputTokens: 0,
  outputTokens: 0,
  costEstimateCents: '0',
} as const satisfies Partial<UsageEvent>;
const named = '00000000-0000-4000-8000-0000000000a2';
/** Few of each, for focus-data-toolkit says twenty faults of a file at most. */
const usual: Partial<UsageEvent>[] = [
  split,
  { ...split, costEstimateCents: '3' },
  { occurredAtMs: startMs + 99 * hourMs, modelId: named, clientId: '=SUM(A1), "batch"' },
  { occurredAtMs: startMs + 99 * hourMs, modelId: named, ...failure },
];
/** The name of the org, where it has one, and its events. */
const orgs: Record<FocusFile, [name: string | null, events: Partial<UsageEvent>[]]> = {
  usual: ['Acme', usual],
  monthly: ['Acme', usual],
  unnamed: [null, [{}]],
  failures: ['Acme', [failure]],
  letters: ['Łódź', [{ clientId: 'Łódź' }]],
  empty: ['Acme', []],
};

describe.skipIf(!hasValidator && !hasToolkit)('a FOCUS file', () => {
  let system: System;
  let database: Database;
  const texts = new Map<FocusFile, string>();

  beforeAll(async () => {
    system = await startSystem({
      stream: false,
      environment: { BILLING_CURRENCY: 'EUR', FOCUS_PROVIDER_NAME: 'Acme, "AI"' },
    });
    database = openDatabase({ url: system.environment.DATABASE_URL ?? '', patienceMs: 5_000 });
    await database.query('insert into analytics.models (model_id, name) values ($1, $2)', [
      named,
      'Model "2"',
    ]);
    for (const file of focusFiles) texts.set(file, await focusText(file));
  });
  afterAll(async () => {
    await database?.close();
    await system?.close();
  });

  async function focusText(file: FocusFile): Promise<string> {
    const orgId = randomUUID();
    const [name, events] = orgs[file];
    if (name !== null) {
      await database.query('insert into analytics.orgs (org_id, name) values ($1, $2)', [
        orgId,
        name,
      ]);
    }
    const occurredAtMs = startMs + 50 * hourMs;
    await batchStore(database)(
      events.map((fields) => usageEvent({ orgId, occurredAtMs, ...fields })),
    );
    const { text } = await exported(system, database, {
      orgId,
      format: 'focus',
      granularity: file === 'monthly' ? 'month' : 'day',
      timezone: file === 'monthly' ? 'Asia/Kolkata' : 'UTC',
      models: null,
      range: { startMs, endMs },
    });
    return text;
  }

  const textOf = (file: FocusFile): string => texts.get(file) ?? '';

  describe.skipIf(!hasValidator)('before focus-validator', () => {
    test.each(focusFiles)('breaks no rule of FOCUS 1.2 but those known: %s', async (file) => {
      expect(await brokenRules(textOf(file))).toEqual(knownOf(file, validatorComplaints));
    });

    test('with a decimal and an empty column more breaks the rule on invoices alone', async () => {
      const more = textOf('usual')
        .replace(/,(\d+),Tokens,/, ',$1.0,Tokens,')
        .replaceAll('\r\n', ',\r\n')
        .replace('x_OutputTokens,', 'x_OutputTokens,CommitmentDiscountStatus');
      expect(await brokenRules(more)).toEqual(['InvoiceId-C-005-C']);
    });

    test('without the name of a billing account breaks that rule', async () => {
      const broken = await brokenRules(textOf('usual').replaceAll(',Acme,', ',,'));
      expect(broken).toContain('BillingAccountName-C-003-C');
    });
  });

  describe.skipIf(!hasToolkit)('before focus-data-toolkit', () => {
    test.each(focusFiles)('is one of Cost and Usage of FOCUS 1.2: %s', async (file) => {
      expect(await detected(textOf(file))).toEqual({
        dataset: 'Cost and Usage',
        detected_version: '1.2',
        extension_columns: ['x_InputTokens', 'x_OutputTokens'],
        unknown_columns: [],
      });
    });

    test.each(focusFiles)('becomes one of FOCUS 1.4 but for what is known: %s', async (file) => {
      expect(await conversionFaults(textOf(file))).toEqual(knownOf(file, conversionComplaints));
    });

    test('with a wrong currency becomes none', async () => {
      const faults = await conversionFaults(textOf('usual').replaceAll(',EUR,', ',EURO,'));
      expect(faults).toContain('bad_currency BillingCurrency');
    });
  });
});
