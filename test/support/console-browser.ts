import { existsSync } from 'node:fs';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import * as z from 'zod';
import { type Server, serve } from '../../shared/http/serve.ts';
import type { System } from './system.ts';

/** Debian's, or the name that other distributions have for it. */
const executables = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export function openBrowser(): Promise<Browser> {
  const executablePath = executables.find(existsSync);
  if (executablePath === undefined) throw new Error('there is no chromium in /usr/bin');
  // As root it has no sandbox, and a container's /dev/shm is small.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/** An actor as the page's own switch of development names it. */
export interface PageActor {
  subject: string;
  roles: readonly string[];
  orgs: readonly string[];
}

export interface PageOptions {
  actor?: PageActor;
  width?: number;
  height?: number;
  theme?: 'light' | 'dark';
}

export interface ConsolePage {
  page: Page;
  /** Goes to a view, and waits until it is drawn. */
  open(query?: string): Promise<void>;
  /** Waits until what was asked for is drawn. */
  drawn(): Promise<void>;
  /** Every address that was asked for. */
  asked: string[];
  /** What went wrong in the page; requests that were refused are not its fault. */
  faults: string[];
}

export interface ServedConsole {
  url: string;
  newPage(options?: PageOptions): Promise<ConsolePage>;
  close(): Promise<void>;
}

/** Serves a system on a free port of this machine, for pages of a browser. */
export async function serveConsole(
  { app, settings }: Pick<System, 'app' | 'settings'>,
  browser: Browser,
): Promise<ServedConsole> {
  const server: Server = await serve(app, { ...settings, HTTP_PORT: 0 }, '127.0.0.1');
  const origin = `http://127.0.0.1:${server.port}`;
  const url = `${origin}/analytics/console`;
  return {
    url,
    newPage: async ({ actor, width = 1_440, height = 1_000, theme = 'light' } = {}) => {
      const context = await browser.newContext({
        viewport: { width, height },
        colorScheme: theme,
        timezoneId: 'UTC',
        locale: 'en-GB',
        permissions: ['clipboard-read', 'clipboard-write'],
      });
      if (actor !== undefined) {
        const { subject, roles, orgs } = actor;
        const kept = JSON.stringify({ subject, roles: roles.join(','), orgs: orgs.join(',') });
        await context.addInitScript(
          `sessionStorage.setItem('console.actor', ${JSON.stringify(kept)})`,
        );
      }
      const page = await context.newPage();
      const faults: string[] = [];
      const asked: string[] = [];
      page.on('pageerror', ({ message }) => faults.push(message));
      page.on('console', (message) => {
        // A refusal is told by the page itself.
        const isRefusal = message.text().startsWith('Failed to load resource');
        if (message.type() === 'error' && !isRefusal) faults.push(message.text());
      });
      page.on('request', (request) => asked.push(request.url()));
      const drawn = () =>
        page
          .locator('#content:not([aria-busy]) :is(.tiles, .message, .job-list)')
          .first()
          .waitFor();
      return {
        page,
        faults,
        asked,
        drawn,
        open: async (query = '') => {
          await page.goto(`${url}${query}`);
          await drawn();
        },
      };
    },
    close: () => server.close(),
  };
}

const axeFindings = z.array(
  z.object({
    id: z.string(),
    impact: z.string().nullable(),
    help: z.string(),
    nodes: z.array(z.object({ html: z.string() })),
  }),
);

/** What axe finds in a page that keeps people from using it. */
export async function seriousFindings(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = axeFindings.parse(
    await page.evaluate('axe.run().then(({ violations }) => violations)'),
  );
  return found
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, help, nodes }) => nodes.map(({ html }) => `${id}: ${help}: ${html}`));
}
