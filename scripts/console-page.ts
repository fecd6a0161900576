import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'esbuild';

// From the bundle of the local run, in dist/, as from here.
const web = fileURLToPath(new URL('../functions/console/web/', import.meta.url));

/** What a page's file is called before and after a hash of its text is put into its name. */
const entries = { app: 'app.ts', theme: 'theme.ts', styles: 'styles.css' };

/**
 * The console's page as it is served: scripts and styles bundled for browsers of the last two years,
 * named after their text, and every file a second and third time packed by brotli and gzip.
 */
export async function buildConsolePage(): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const { outputFiles } = await build({
    absWorkingDir: web,
    entryPoints: entries,
    outdir: web,
    write: false,
    bundle: true,
    minify: true,
    format: 'iife',
    platform: 'browser',
    target: ['es2022', 'chrome120', 'firefox121', 'safari17'],
    logLevel: 'warning',
  });
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  let html = await readFile(join(web, 'index.html'), 'utf8');
  for (const { path, contents } of outputFiles) {
    const [stem = '', extension = ''] = path.slice(web.length).split('.');
    const hash = createHash('sha256').update(contents).digest('hex').slice(0, 16);
    const name = `${stem}.${hash}.${extension}`;
    html = html.replaceAll(`{${stem}.${extension}}`, `/analytics/console/assets/${name}`);
    add(files, name, contents);
  }
  add(files, 'index.html', Buffer.from(html));
  return files;
}

function add(files: Map<string, Uint8Array<ArrayBuffer>>, name: string, contents: Uint8Array) {
  const quality = constants.BROTLI_MAX_QUALITY;
  const brotli = brotliCompressSync(contents, {
    params: { [constants.BROTLI_PARAM_QUALITY]: quality },
  });
  files.set(name, Uint8Array.from(contents));
  files.set(`${name}.br`, Uint8Array.from(brotli));
  files.set(`${name}.gz`, Uint8Array.from(gzipSync(contents, { level: 9 })));
}
