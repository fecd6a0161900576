import { type Context, Hono } from 'hono';
import { compress } from 'hono/compress';
import { etag } from 'hono/etag';
import type { AppEnv } from '../../shared/http/context.ts';
import { contentSecurityPolicy } from '../../shared/http/page-policy.ts';
import { onNotFound } from '../../shared/http/problem.ts';
import { machineText } from './machine-text.ts';
import { docsPage } from './page.ts';
import type { PageFiles } from './page-files.ts';

/** The API's document, a page to read it and try it, and a guide for machines. Open to everybody, all from memory. */
export function docsApp(files: PageFiles): Hono<AppEnv> {
  const app = new Hono<AppEnv>().basePath('/analytics/v1');
  const { html, assets } = docsPage(files);
  // Asked for each time, as it changes with a deploy; what has not changed is not sent again.
  const revalidated = { 'Cache-Control': 'no-cache' };

  app.get('/openapi.json', compress(), etag(), (context) =>
    context.body(files['openapi.json'], 200, {
      ...revalidated,
      'Content-Type': 'application/json',
    }),
  );

  app.get('/llms.txt', compress(), etag(), (context) =>
    context.body(machineText(files['llms.txt']), 200, {
      ...revalidated,
      'Content-Type': 'text/plain; charset=utf-8',
    }),
  );

  app.get('/docs', compress(), etag(), (context) =>
    context.body(html, 200, {
      ...revalidated,
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': contentSecurityPolicy,
    }),
  );

  app.get('/docs/:file', compress(), etag(), (context: Context<AppEnv>) => {
    const asset = assets.get(context.req.param('file') ?? '');
    if (asset === undefined) return onNotFound(context);
    return context.body(asset.text, 200, {
      'Content-Type': asset.contentType,
      'Cache-Control': 'public, max-age=31536000, immutable',
    });
  });

  return app;
}
