import { Hono } from 'hono';
import type { AppEnv } from '../../shared/http/context.ts';
import { ServiceError } from '../../shared/platform/errors.ts';
import { attachment } from '../../shared/platform/object-store/attachment.ts';
import type { FolderStore } from '../../shared/platform/object-store/folder-store.ts';

/** Serves the folder's signed links: whoever holds one may fetch its file, as with S3. */
export function exportFilesApp(store: FolderStore): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.get('/analytics/v1/exports/files/:key{.+}', async (context) => {
    const { expires = '', filename = '', signature = '' } = context.req.query();
    const key = context.req.param('key');
    const file = await store.open({ key, expires, filename, signature });
    if (file === null) throw new ServiceError('gone', 'the file of this link was removed');
    return context.body(file.stream, 200, {
      'Content-Type': file.contentType,
      'Content-Length': String(file.bytes),
      'Content-Disposition': attachment(file.filename),
      'Cache-Control': 'private, no-store',
    });
  });
  return app;
}
