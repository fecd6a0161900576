import { type Context, Hono } from 'hono';
import { etag } from 'hono/etag';
import type { Actor } from '../../shared/access.ts';
import type { AppEnv } from '../../shared/http/context.ts';
import { json } from '../../shared/http/json.ts';
import { contentSecurityPolicy } from '../../shared/http/page-policy.ts';
import { onNotFound } from '../../shared/http/problem.ts';
import type { Settings } from '../../shared/platform/env.ts';
import { ServiceError } from '../../shared/platform/errors.ts';
import { formFor, type Page } from './page.ts';

export interface ConsoleDeps {
  settings: Settings;
  /** Asked for each request; whoever gives it keeps it. */
  page: () => Promise<Page>;
}

/** What the page is told before it asks anything else. It holds nothing that is not the asker's. */
export interface ConsoleConfig {
  environment: string;
  authMode: Settings['AUTH_MODE'];
  /** False where checks are off: everybody may do what an admin may. */
  isRbacOn: boolean;
  /** Whether the page may offer to ask as somebody else. */
  canSwitchActor: boolean;
  /** ISO 4217; costs are hundredths of it. */
  currency: string;
  /** Windows begin at most so many days ago. */
  retentionDays: number;
  actor: Actor | null;
  /** Why there is no actor; null where there is one. */
  refusal: { code: string; detail: string } | null;
}

/** The console: a page, what it loads, and who is looking at it. */
export function consoleApp({ settings, page }: ConsoleDeps): Hono<AppEnv> {
  const app = new Hono<AppEnv>().basePath('/analytics');

  app.get('/console', etag(), async (context) =>
    send(context, await page(), 'index.html', {
      // Asked for each time, as it changes with a deploy; what has not changed is not sent again.
      'Cache-Control': 'no-cache',
      'Content-Security-Policy': contentSecurityPolicy,
    }),
  );

  // As people type it; a shared view keeps its filters.
  app.get('/console/', (context) =>
    context.redirect(`/analytics/console${new URL(context.req.url).search}`, 308),
  );

  app.get('/console/config', (context) => json(context, configOf(settings, context.var.actor)));

  app.get('/console/assets/:file', async (context) => {
    const file = context.req.param('file');
    if (file === 'index.html') return onNotFound(context);
    return send(context, await page(), file, {
      'Cache-Control': 'public, max-age=31536000, immutable',
    });
  });

  return app;
}

function send(
  context: Context<AppEnv>,
  page: Page,
  name: string,
  headers: Record<string, string>,
): Response | Promise<Response> {
  const file = page.get(name);
  if (file === undefined) return onNotFound(context);
  const { bytes, encoding } = formFor(file, context.req.header('Accept-Encoding') ?? '');
  return context.body(bytes, 200, {
    ...headers,
    'Content-Type': file.contentType,
    Vary: 'Accept-Encoding',
    ...(encoding === null ? {} : { 'Content-Encoding': encoding }),
  });
}

function configOf(settings: Settings, identity: Actor | ServiceError): ConsoleConfig {
  const isRefused = identity instanceof ServiceError;
  return {
    environment: settings.ENVIRONMENT,
    authMode: settings.AUTH_MODE,
    isRbacOn: settings.ENABLE_RBAC,
    // Where a page's own headers would be believed, and nothing that is deployed is protected by them.
    canSwitchActor:
      (settings.ENVIRONMENT === 'development' || !settings.ENABLE_RBAC) &&
      settings.AUTH_MODE === 'gateway' &&
      settings.GATEWAY_SHARED_SECRET === undefined,
    currency: settings.BILLING_CURRENCY,
    retentionDays: settings.ROLLUP_RETENTION_DAYS,
    actor: isRefused ? null : identity,
    refusal: isRefused ? { code: identity.code, detail: identity.message } : null,
  };
}
