import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import * as z from 'zod';
import { readReplayOptions } from '../scripts/replay/options.ts';
import { replay } from '../scripts/replay/run.ts';
import { sampleEvents, sampleModels, sampleOrgs } from '../scripts/sample-events.ts';
import { runCommand } from '../scripts/services/run-command.ts';
import { roles } from '../shared/access.ts';
import { literalOf, parseKeepingCosts } from '../shared/decimal-json.ts';
import { encodeEvent } from '../shared/events/usage-event.ts';
import { serve } from '../shared/http/serve.ts';
import { openDatabase } from '../shared/platform/database/db.ts';
import { saveNames } from '../shared/preparation/catalog.ts';
import {
  type ConsolePage,
  openBrowser,
  type PageOptions,
  type ServedConsole,
  seriousFindings,
  serveConsole,
} from './support/console-browser.ts';
import { eventJson, jsonPost } from './support/event-json.ts';
import { adminHeaders, type System, startSystem } from './support/system.ts';
import { sign, startTokenIssuer, validClaims } from './support/token-issuer.ts';
import { makeTrace, readTrace } from './support/trace.ts';
import { until } from './support/until.ts';
import { usageEvent } from './support/usage-events.ts';

const [acme, globex] = sampleOrgs;
/** The model of the trace, which names none. */
const traced = { modelId: '00000000-0000-0000-0000-0000000000a4', name: 'code-large' };
const azurePath = fileURLToPath(
  new URL('../../shared/data/azure-llm-inference-2023-code.csv', import.meta.url),
);

const admin = { subject: 'root', roles: ['admin'], orgs: [] };
const orgAdmin = {
  subject: 'olga',
  roles: [roles.usageRead, roles.reliabilityRead, roles.exportsCreate, roles.exportsRead],
  orgs: [acme],
};
const engineer = { subject: 'enno', roles: [roles.reliabilityRead], orgs: [acme] };
const finance = {
  subject: 'fiona',
  roles: [roles.usageRead, roles.exportsCreate, roles.exportsRead, roles.exportsDownload],
  orgs: [acme],
};
const stranger = { ...orgAdmin, subject: 'sven', orgs: [globex] };

const dayMs = 86_400_000;
/** Enough for each model in each hour; pictures are of a busier org. */
const perHour = process.env.SCREENSHOTS === '1' ? 60 : 6;
const today = Math.floor(Date.now() / dayMs) * dayMs;
const day = (ms: number) => new Date(ms).toISOString().replace('.000Z', 'Z');
const week = { start: day(today - 6 * dayMs), end: day(today + dayMs) };
const weekQuery = `start=${week.start}&end=${week.end}`;

const usageForm = z.object({
  series: z.array(z.object({ bucketStart: z.string(), invocations: z.number() })),
  totals: z.object({ invocations: z.number(), costEstimateCents: z.string() }),
});
const reliabilityForm = z.object({
  totals: z.object({
    invocations: z.number(),
    errorRate: z.number(),
    statusCounts: z.record(z.string(), z.number()),
    latencyMs: z.object({ p50: z.number(), p95: z.number(), p99: z.number() }),
  }),
  topErrors: z.array(z.object({ errorCode: z.string(), count: z.number() })),
});
const jobsForm = z.object({ items: z.array(z.object({ checksum: z.string().nullable() })) });

describe.skipIf(!inject('hasChromium'))('the console in a browser', () => {
  let browser: Browser;
  let system: System;
  let served: ServedConsole;
  const opened: ConsolePage[] = [];

  const newPage = async (options: PageOptions, from = served) => {
    const page = await from.newPage(options);
    page.page.setDefaultTimeout(20_000);
    opened.push(page);
    return page;
  };
  const answer = async <Schema extends z.ZodType>(path: string, form: Schema) => {
    const response = await system.app.request(`/analytics/v1${path}`, { headers: adminHeaders });
    return form.parse(parseKeepingCosts(await response.text()));
  };

  beforeAll(async () => {
    browser = await openBrowser();
    // Jobs are worked on as they are asked for.
    system = await startSystem({
      exportsEveryMs: 60_000,
      environment: { ENVIRONMENT: 'development' },
    });
    served = await serveConsole(system, browser);
    const stored = await replayTraces(system);
    const database = openDatabase({ url: system.settings.DATABASE_URL ?? '' });
    await saveNames(database, {
      orgs: sampleOrgs.map((id, index) => ({ id, name: ['Acme', 'Globex'][index] ?? id })),
      models: [...sampleModels, traced].map(({ modelId: id, name }) => ({ id, name })),
    });
    const [row] = await database.query<{ stored: number }>(
      'select count(*)::int as stored from analytics.usage_events',
    );
    expect(row?.stored).toBe(stored);
    await database.close();
    await system.refresh();
  });
  afterEach(async () => {
    for (const { page, faults } of opened.splice(0)) {
      await page.context().close();
      expect(faults).toEqual([]);
    }
  });
  afterAll(async () => {
    await browser?.close();
    await served?.close();
    await system?.close();
  });

  test('an org admin sees a week of one model as the API has it, and takes it along', async () => {
    const { page, open, drawn } = await newPage({ actor: orgAdmin });
    await open(`?timezone=UTC&${weekQuery}&granularity=day&modelId=${traced.modelId}`);
    const asked = `/orgs/${acme}/usage?${weekQuery}&groupBy=none&modelId=${traced.modelId}`;
    const { totals, series } = await answer(asked, usageForm);
    expect(await page.locator('.tile .value').first().getAttribute('title')).toBe(
      dollars(totals.costEstimateCents),
    );
    const requests = page.locator('button.tile', { hasText: 'Requests' });
    await requests.click();
    await drawn();
    const count = requests.locator('.value');
    expect(await count.textContent()).toBe(totals.invocations.toLocaleString('en'));
    await page.locator('details.data > summary').click();
    const cells = await page.locator('details.data tbody td:last-child').allTextContents();
    const counts = new Map(series.map((point) => [point.bucketStart, point.invocations]));
    expect(cells).toEqual(
      Array.from({ length: 7 }, (_, index) =>
        (counts.get(day(today + (index - 6) * dayMs)) ?? '–').toLocaleString('en'),
      ),
    );
    expect(await page.locator('.legend').textContent()).toBe('code-largePrevious period');
    expect(await page.locator('.freshness').textContent()).toMatch(
      /^Fresh, complete through \d+ \w+ \d{4}, [\d:]+, \d+ s ago/,
    );

    await page.getByRole('button', { name: 'Copy curl of Requests over time' }).click();
    const command = await clipboard(page);
    const told = await runCommand('sh', ['-c', command], { timeoutMs: 20_000 });
    expect(usageForm.parse(parseKeepingCosts(told)).totals).toEqual(totals);
    await page.getByRole('button', { name: 'Copy CSV of Requests over time' }).click();
    const [heading, ...rows] = (await clipboard(page)).trim().split('\r\n');
    expect(heading).toBe(
      'bucket_start,id,name,invocations,errors,input_tokens,output_tokens,cost_estimate_cents',
    );
    expect(rows).toHaveLength(series.length);
    for (const row of rows) expect(row).toMatch(new RegExp(`,${traced.modelId},code-large,\\d+,`));
  });

  test('values are read by hovering and by keyboard, and dragging zooms into an address', async () => {
    const { page, open, drawn } = await newPage({ actor: orgAdmin });
    await open(`?timezone=UTC&${weekQuery}`);
    const plot = page.locator('.u-over');
    await plot.hover({ position: { x: 20, y: 100 } });
    expect(await page.locator('.tip').textContent()).toMatch(
      new RegExp(`${new Date(week.start).getUTCDate()} \\w+ \\d{4}.*chat-large\\$\\d.*Total\\$\\d`),
    );
    await page.locator('.chart').focus();
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('.chart-box [aria-live]').textContent()).toMatch(
      /^Time: .*Total: \$/,
    );
    const box = await plot.boundingBox();
    if (box === null) throw new Error('the chart has no size');
    const middleOf = (bucket: number) => box.x + (box.width * (bucket + 0.5)) / 7;
    await page.mouse.move(middleOf(2), box.y + 50);
    await page.mouse.down();
    await page.mouse.move(middleOf(3), box.y + 60, { steps: 5 });
    await page.mouse.up();
    await drawn();
    const shown = new URL(page.url()).searchParams;
    expect({ start: shown.get('start'), end: shown.get('end') }).toEqual({
      start: day(today - 4 * dayMs),
      end: day(today - 2 * dayMs),
    });
    await page.goBack();
    await drawn();
    expect(new URL(page.url()).searchParams.get('start')).toBe(week.start);
  });

  test('a late event appears', async () => {
    const { page, open, drawn } = await newPage({ actor: orgAdmin });
    await open(`?timezone=UTC&${weekQuery}&metric=invocations&by=client`);
    const count = page.locator('button.tile', { hasText: 'Requests' }).locator('.value');
    const before = Number((await count.textContent())?.replaceAll(',', ''));
    const occurredAt = day(today - 3 * dayMs);
    const late = eventJson({
      orgId: acme,
      modelId: randomUUID(),
      clientId: 'latecomer',
      occurredAt,
    });
    const posted = await system.app.request('/analytics/v1/events', jsonPost(late, adminHeaders));
    expect(posted.status).toBe(202);
    await until('the page shows it', async () => {
      await page.getByRole('button', { name: 'Refresh' }).click();
      await drawn();
      const isCounted = Number((await count.textContent())?.replaceAll(',', '')) === before + 1;
      // Tiles and table are answers of two requests: the event may have come between them.
      const table = await page.locator('table').last().textContent();
      return isCounted && table?.includes('latecomer');
    });
  });

  test('an engineer sees how reliable it was, and is told what is not theirs', async () => {
    const { page, open, drawn } = await newPage({ actor: engineer });
    await open(`?view=reliability&timezone=UTC&${weekQuery}`);
    const { totals, topErrors } = await answer(
      `/orgs/${acme}/reliability?${weekQuery}&groupBy=none`,
      reliabilityForm,
    );
    const values = await page.locator('.tile .value').allTextContents();
    expect(values.slice(0, 2)).toEqual([
      `${(totals.errorRate * 100).toFixed(2)}%`,
      totals.invocations.toLocaleString('en'),
    ]);
    expect(await page.locator('.tile .value').nth(3).getAttribute('title')).toBe(
      `${totals.latencyMs.p95} ms`,
    );
    const mix = page.locator('.panel', { hasText: 'Status mix' });
    await mix.locator('summary').click();
    for (const [column, status] of ['success', 'error', 'timeout', 'throttled'].entries()) {
      const cells = await mix.locator(`tbody td:nth-child(${column + 2})`).allTextContents();
      // A day without events has none.
      const counts = cells.map((text) => (text === '–' ? 0 : Number(text.replaceAll(',', ''))));
      const sum = counts.reduce((all, count) => all + count, 0);
      expect(sum, status).toBe(totals.statusCounts[status]);
    }
    const errors = page.locator('.panel', { hasText: 'Top errors' }).locator('tbody tr');
    expect(await errors.first().textContent()).toContain(topErrors[0]?.errorCode ?? '');
    expect(await errors.count()).toBe(topErrors.length);

    await page.getByRole('link', { name: 'Usage & spend' }).click();
    await drawn();
    expect(await page.locator('.message.forbidden').textContent()).toContain(
      'Missing role: one of analytics:usage:read',
    );
  });

  test('finance makes an export, follows it, downloads it and checks it', async () => {
    const { page, open } = await newPage({ actor: finance });
    await open(`?view=exports&timezone=UTC&${weekQuery}`);
    expect(await page.locator('.message').textContent()).toContain('No exports yet');
    await page.getByRole('button', { name: 'Make export' }).click();
    await page.getByText('Ready', { exact: true }).waitFor();
    const { items } = await answer(`/orgs/${acme}/exports`, jobsForm);
    const checksum = await page.locator('.checksum').textContent();
    expect(checksum).toBe(items[0]?.checksum);
    const downloading = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download' }).click();
    const download = await downloading;
    const bytes = await readFile(await download.path());
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(checksum);
    expect(download.suggestedFilename()).toMatch(/^usage-daily_.*\.csv$/);

    const file = join(tmpdir(), `${randomUUID()}.csv`);
    const check = async (content: Buffer, words: string) => {
      await writeFile(file, content);
      await page.getByLabel('File to check').setInputFiles(file);
      await page.getByText(words).waitFor();
    };
    try {
      await check(bytes, 'is the file that was made');
      await check(Buffer.concat([bytes, Buffer.from(' ')]), 'is not the file that was made');
    } finally {
      await rm(file, { force: true });
    }
  });

  test('a second tenant sees nothing of the first, not even by its address', async () => {
    const { page, open } = await newPage({ actor: stranger });
    await open(`?timezone=UTC&${weekQuery}`);
    expect(await page.getByLabel('Organisation').locator('option').allTextContents()).toEqual([
      'Globex',
    ]);
    const { totals } = await answer(`/orgs/${globex}/usage?${weekQuery}&groupBy=none`, usageForm);
    expect(await page.locator('.tile .value').nth(1).textContent()).toBe(
      totals.invocations.toLocaleString('en'),
    );
    for (const view of ['usage', 'reliability', 'exports']) {
      await open(`?view=${view}&org=${acme}&timezone=UTC&${weekQuery}`);
      const text = await page.locator('body').innerText();
      expect(text).toContain(`Org ${acme} is not among the actor's orgs`);
      expect(text).not.toMatch(/Acme|chat-large|\$\d/);
    }
  });

  test('an address names an org or nothing, and no other path of the host is asked', async () => {
    const { page, open, asked } = await newPage({ actor: orgAdmin });
    for (const view of ['usage', 'reliability', 'exports']) {
      await open(`?view=${view}&org=../../../metrics?&timezone=UTC&${weekQuery}`);
    }
    expect(await page.getByLabel('Organisation').inputValue()).toBe(acme);
    const paths = asked.map((url) => new URL(url).pathname);
    expect(paths.filter((path) => !path.startsWith('/analytics/'))).toEqual([]);
    expect(paths).toContain(`/analytics/v1/orgs/${acme}/usage`);
  });

  test('the smallest spend, share and latency are told as what they are', async () => {
    const orgId = randomUUID();
    const spent = { 'spends much': '250', 'spends little': '0.0001' };
    await system.sink.accept(
      Object.entries(spent).map(([clientId, costEstimateCents]) =>
        usageEvent({ orgId, clientId, costEstimateCents, latencyMs: 30 }),
      ),
    );
    const { page, open } = await newPage({ actor: { ...orgAdmin, orgs: [orgId] } });
    await open(`?timezone=UTC&${weekQuery}&by=client`);
    const little = page.getByRole('row').filter({ hasText: 'spends little' }).last();
    expect(await little.innerText()).toMatch(/< \$0\.0001\s+< 0\.001%/);
    expect(await little.locator('span[title]').first().getAttribute('title')).toBe('$0.000001');
    const much = page.getByRole('row').filter({ hasText: 'spends much' }).last();
    const height = async (row: typeof much) =>
      (await row.locator('.share > span:last-child').boundingBox())?.height;
    expect(await height(little)).toBe(await height(much));
    await open(`?view=reliability&timezone=UTC&${weekQuery}`);
    const tile = page.locator('.tile', { hasText: 'Latency p50' });
    expect(await tile.locator('.value').textContent()).toBe('30.5 ms');
  });

  test('who is looking is chosen in development, by keyboard alone', async () => {
    const { page, open, drawn } = await newPage({});
    await open('?timezone=UTC');
    // Nobody was named: the page asked as an admin of its own.
    expect(await page.locator('.who').textContent()).toBe('dev-admin');
    await page.locator('.who').focus();
    await page.keyboard.press('Enter');
    await page.getByLabel('Organisation ids').fill(globex);
    await page.getByRole('button', { name: 'Org admin' }).press('Enter');
    await page.getByRole('button', { name: 'dev-org-admin' }).waitFor();
    await drawn();
    expect(await page.getByLabel('Organisation').locator('option').allTextContents()).toEqual([
      'Globex',
    ]);
  });

  test('a slow API is told and can be given up, one that is dead is told too', async () => {
    const other = await serveConsole(system, browser);
    const { page, open, drawn } = await newPage({ actor: orgAdmin }, other);
    await open(`?timezone=UTC&${weekQuery}`);
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    await page.route('**/usage?*', async (route) => {
      await held;
      await route.continue().catch(() => {});
    });
    await page.getByRole('button', { name: 'Refresh' }).click();
    await page.getByText('The API is slow to answer').waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('You stopped waiting').waitFor();
    release();
    await page.unroute('**/usage?*');
    await page.getByRole('button', { name: 'Ask again' }).click();
    await page.locator('.tiles').waitFor();
    await other.close();
    await page.getByRole('button', { name: 'Refresh' }).click();
    await drawn();
    await page.getByText('The API cannot be reached').waitFor();
    expect(await page.getByRole('alert').textContent()).toContain('Try again');
  });

  test('stores that are away are told in the API’s words, and asked again when it says', async () => {
    const nowhere = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing', REDIS_URL: '' };
    const away = await startSystem({ stream: false, environment: nowhere });
    const other = await serveConsole(away, browser);
    try {
      const { page, open } = await newPage({ actor: orgAdmin }, other);
      await open('?timezone=UTC');
      const box = page.getByRole('alert');
      expect(await box.textContent()).toMatch(/Temporarily not available.*Trying again in \d s/);
    } finally {
      await other.close();
      await away.close();
    }
  });

  test('without a token, with an expired one, and when it expires', async () => {
    const issuer = await startTokenIssuer();
    const secured = await startSystem({ stream: false, environment: issuer.environment });
    const other = await serveConsole(secured, browser);
    try {
      const [key] = issuer.keys;
      if (key === undefined) throw new Error('the issuer has no key');
      const token = (exp: number) =>
        sign(key, validClaims(issuer, { exp, roles: [roles.usageRead], orgs: [acme] }));
      const now = Math.floor(Date.now() / 1_000);
      const { page, open, drawn, asked } = await newPage({ actor: admin }, other);
      await open('?timezone=UTC');
      expect(await page.locator('.message').textContent()).toContain('Sign in to see your numbers');
      const paste = async (text: string) => {
        await page.locator('.message').getByRole('button', { name: 'Sign in' }).click();
        await page.getByLabel('Bearer token').fill(text);
        await page.getByRole('button', { name: 'Use token' }).click();
      };
      await paste(await token(now - 600));
      await page.getByText('Your token is not accepted').waitFor();
      expect(await page.locator('.message').textContent()).toContain('expired');
      await paste(await token(now + 600));
      await page.getByText('No usage here').waitFor();
      // It expires while the page is open.
      const expired = await token(now - 600);
      await page.evaluate(`sessionStorage.setItem('console.token', ${JSON.stringify(expired)})`);
      await page.getByRole('button', { name: 'Refresh' }).click();
      await drawn();
      await page.getByText('The token is not accepted').waitFor();
      expect(await page.getByRole('alert').textContent()).toContain('expired');
      for (const address of [...asked, page.url()]) expect(address).not.toContain('eyJ');
    } finally {
      await other.close();
      await secured.close();
      await issuer.close();
    }
  });

  test('40 models over 400 days are asked for in slices and drawn as a few and the others', async () => {
    const { page, open } = await newPage({ actor: orgAdmin });
    const answers: number[] = [];
    const models = Array.from({ length: 40 }, () => randomUUID());
    const sums = { invocations: 1, errors: 0, inputTokens: 1, outputTokens: 1 };
    await page.route('**/models', (route) =>
      route.fulfill({
        json: { orgName: 'Acme', models: models.map((modelId) => ({ modelId, name: null })) },
      }),
    );
    await page.route('**/usage?*', (route) => {
      const query = new URL(route.request().url()).searchParams;
      const [startMs, endMs] = [query.get('start'), query.get('end')].map((text) =>
        Date.parse(text ?? ''),
      );
      const series = [];
      for (let ms = startMs ?? 0; ms < (endMs ?? 0); ms += dayMs) {
        const keys = query.get('groupBy') === 'model' ? models : [undefined];
        for (const [index, modelId] of keys.entries()) {
          const costEstimateCents = modelId === undefined ? 820 : index + 1;
          series.push({ bucketStart: day(ms), modelId, ...sums, costEstimateCents });
        }
      }
      answers.push(series.length);
      const freshness = {
        status: 'delayed',
        lagSeconds: 900,
        lastEventAt: null,
        lastRollupAt: null,
        completeThrough: null,
      };
      return route.fulfill({
        json: { series, totals: { ...sums, costEstimateCents: 328_000 }, freshness },
      });
    });
    await open('?timezone=UTC&range=400d&compare=no');
    expect(answers.toSorted((a, b) => a - b)).toEqual([400, 8_000, 8_000]);
    const names = await page.locator('.legend li').allTextContents();
    expect(names).toHaveLength(8);
    expect(names.at(-1)).toBe('33 others');
    expect(await page.locator('details.data summary').textContent()).toBe('Table (400 rows)');
    expect(await page.locator('tbody tr').count()).toBeLessThanOrEqual(50);
    expect(await page.locator('.freshness').textContent()).toContain('Delayed');
  });

  test.each([
    ['light', 1_440],
    ['dark', 375],
  ] as const)('axe finds nothing serious in %s at %i pixels', async (theme, width) => {
    const { page, open } = await newPage({ actor: admin, theme, width });
    for (const view of ['usage', 'reliability', 'exports']) {
      await open(`?view=${view}&org=${acme}&timezone=UTC&${weekQuery}`);
      expect(await seriousFindings(page), view).toEqual([]);
      const wide = await page.evaluate('document.documentElement.scrollWidth');
      expect(wide, view).toBe(width);
    }
    await page.locator('.who').click();
    expect(await seriousFindings(page), 'who is asking').toEqual([]);
  });

  test.each([375, 768, 1_440])('a menu of filters stays on a page of %i pixels', async (width) => {
    const { page, open } = await newPage({ actor: orgAdmin, width });
    await open(`?timezone=UTC&${weekQuery}`);
    // Folded away on a phone.
    const filters = page.locator('.toolbar > summary');
    if (await filters.isVisible()) await filters.click();
    for (const name of ['Models', 'Clients']) {
      await page.getByLabel(`${name}: All`).click();
      const search = page.getByLabel(`Search ${name}`);
      await search.waitFor();
      const sheet = await page.locator('.menu[open] .sheet').boundingBox();
      expect(sheet?.x, name).toBeGreaterThanOrEqual(0);
      expect((sheet?.x ?? 0) + (sheet?.width ?? width), name).toBeLessThanOrEqual(width);
      expect(await page.evaluate('document.documentElement.scrollWidth'), name).toBe(width);
      await search.press('Escape');
    }
  });

  test('a window that the API does not take is told with what to change', async () => {
    const { page, open } = await newPage({ actor: orgAdmin });
    await open('?timezone=UTC&start=2020-01-01T00:00:00Z&end=2020-02-01T00:00:00Z');
    const words = await page.getByRole('alert').textContent();
    expect(words).toMatch(/Start must not be before .*Change the filters above/);
  });

  test('the theme follows the system until another is chosen, and stays', async () => {
    const { page, open } = await newPage({ actor: orgAdmin, theme: 'dark' });
    const background = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
    await open('?timezone=UTC');
    const dark = await background();
    await page.getByRole('button', { name: /^Theme: system/ }).click();
    expect(await background()).not.toBe(dark);
    await page.reload();
    await page.getByRole('button', { name: /^Theme: light/ }).waitFor();
    expect(await background()).not.toBe(dark);
  });

  test.runIf(process.env.SCREENSHOTS === '1')(
    'screenshots of each view, on a desk and on a phone, in both themes',
    async () => {
      const folder = new URL('../docs/images/', import.meta.url);
      await mkdir(folder, { recursive: true });
      for (const theme of ['light', 'dark'] as const) {
        for (const [device, width, height] of [
          ['desktop', 1_440, 960],
          ['phone', 375, 812],
        ] as const) {
          const actor = { subject: 'olga', roles: ['admin'], orgs: [acme] };
          const { page, open } = await newPage({ actor, theme, width, height });
          for (const view of ['usage', 'reliability', 'exports']) {
            await open(`?view=${view}&org=${acme}&timezone=America/New_York`);
            if (view === 'exports' && (await page.locator('.checksum').count()) === 0) {
              await page.getByRole('button', { name: 'Make export' }).click();
              await page.locator('.checksum').first().waitFor();
            }
            if (view === 'usage' && device === 'desktop') {
              await page.locator('.u-over').hover({ position: { x: 560, y: 120 } });
            }
            await page.evaluate(`document.querySelector('.toast')?.remove()`);
            const name = `console-${view}-${device}-${theme}.png`;
            await page.screenshot({
              path: fileURLToPath(new URL(name, folder)),
              fullPage: true,
            });
          }
        }
      }
    },
  );

  test('all of it comes from this host, and is less than 300 kB', async () => {
    const { page, open, asked } = await newPage({ actor: orgAdmin });
    await open(`?timezone=UTC&${weekQuery}`);
    const { origin } = new URL(served.url);
    for (const address of asked) expect(new URL(address).origin).toBe(origin);
    const transferred = await page.evaluate(
      `performance.getEntries().reduce((sum, { transferSize = 0 }) => sum + transferSize, 0)`,
    );
    expect(transferred).toBeGreaterThan(50_000);
    expect(transferred).toBeLessThan(300_000);
  });
});

/**
 * Replays two traces over the last two weeks, as `npm run replay` does: the Azure one where it is
 * beside the checkout, else one made of its shape, an hour that is stretched; and one of two orgs,
 * three models and failures, which the Azure trace has none of.
 *
 * @returns how many events there are
 */
async function replayTraces(system: System): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'console-'));
  const server = await serve(system.app, { HTTP_PORT: 0 }, '127.0.0.1');
  const replayed = async (path: string, ...more: string[]) => {
    const args = [path, '--url', `http://127.0.0.1:${server.port}`, ...more];
    const report = await replay(
      readReplayOptions(args, system.settings, Date.now()),
      system.settings,
    );
    const { target, rows, skipped, refused, counted } = report;
    expect(target).toContain(`stream ${system.settings.RABBITMQ_STREAM}`);
    expect({ skipped, refused, counted: counted.counts }).toEqual({
      skipped: 0,
      refused: 0,
      counted: { stored: rows, duplicate: 0, rejected: 0 },
    });
    return rows;
  };
  try {
    const samplePath = join(folder, 'sample.ndjson');
    const sample = sampleEvents({ untilMs: Date.now(), hours: 14 * 24, perHour });
    await writeFile(samplePath, sample.map((event) => `${encodeEvent(event)}\n`).join(''));
    const madePath = join(folder, 'made.csv');
    await makeTrace(madePath);
    const tracePath = existsSync(azurePath) ? azurePath : madePath;
    // From its time of day two weeks ago until a moment ago.
    const startMs = today - 14 * dayMs;
    const times = readTrace(tracePath).map(({ ms }) => ms);
    const [firstMs = 0, lastMs = 0] = [times[0], times.at(-1)];
    const placedMs = startMs + (firstMs % dayMs);
    const stretch = (Date.now() - 60_000 - placedMs) / (lastMs - firstMs);
    return (
      (await replayed(samplePath)) +
      (await replayed(
        tracePath,
        ...['--org', acme, '--model', traced.modelId, '--client', 'code-assistant'],
        ...['--shift-to', day(startMs).slice(0, 10), '--stretch', stretch.toFixed(3)],
      ))
    );
  } finally {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function clipboard(page: Page): Promise<string> {
  return z.string().parse(await page.evaluate('navigator.clipboard.readText()'));
}

/** Marked cents as dollars with every digit, and two at least. */
function dollars(marked: string): string {
  const [whole = '', places = ''] = literalOf(marked)?.split('.') ?? [];
  const digits = `${whole}${places.padEnd(4, '0')}`.padStart(7, '0');
  const fraction = digits.slice(-6).replace(/0{1,4}$/, '');
  return `$${Number(digits.slice(0, -6)).toLocaleString('en')}.${fraction}`;
}
