import { type Context, Hono } from 'hono';
import type { AppEnv } from '../../shared/http/context.ts';
import { fixedText } from '../../shared/http/fixed-text.ts';
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

  app.get(
    '/openapi.json',
    fixedText(files['openapi.json'], { ...revalidated, 'Content-Type': 'application/json' }),
  );

  app.get(
    '/llms.txt',
    fixedText(machineText(files['llms.txt']), {
      ...revalidated,
      'Content-Type': 'text/plain; charset=utf-8',
    }),
  );

  app.get(
    '/docs',
    fixedText(html, {
      ...revalidated,
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': contentSecurityPolicy,
    }),
  );

  const answers = new Map(
    [...assets.values()].map(({ name, contentType, text }) => [
      name,
      fixedText(text, {
        'Content-Type': contentType,
        'Cache-Control': 'public, max-age=31536000, immutable',
      }),
    ]),
  );
  app.get('/docs/:file', (context: Context<AppEnv>) => {
    const answer = answers.get(context.req.param('file') ?? '');
    return answer === undefined ? onNotFound(context) : answer(context);
  });

  return app;
}
