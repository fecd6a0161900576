import { existsSync, readdirSync } from 'node:fs';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, stop, transform } from 'esbuild';
import { pageFileNames } from '../functions/docs/page-files.ts';
import { buildConsolePage } from './console-page.ts';
import { docsPageFile } from './docs-page.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The one function that brings the schema up to date. */
const migrator = 'bootstrap';

/** The one that shows the API's document. */
const reader = 'docs';

/** The one whose page runs in a browser. */
const browsed = 'console';

/**
 * One self-contained bundle for each function, in its own `dist/`, since a build on the
 * platform sees only the function's folder. CommonJS, because `pg` breaks in ESM bundles.
 */
export async function buildFunctions(): Promise<string[]> {
  const names = functionNames();
  await Promise.all(
    names.map(async (name) => {
      const outdir = join(root, 'functions', name, 'dist');
      await rm(outdir, { recursive: true, force: true });
      await bundleFunction(name, outdir);
      if (name === migrator) await copyMigrations(join(outdir, 'migrations'));
      if (name === reader) await copyPage(join(outdir, 'page'));
      if (name === browsed) await writeConsolePage(join(outdir, 'page'));
    }),
  );
  return names;
}

export function functionNames(): string[] {
  return readdirSync(join(root, 'functions'))
    .filter((name) => existsSync(join(root, 'functions', name, 'index.ts')))
    .sort();
}

/** The SQL alone: the snapshot of the schema is for tests. */
async function copyMigrations(folder: string): Promise<void> {
  await cp(join(root, 'migrations'), folder, {
    recursive: true,
    filter: (path) => path.endsWith('.sql') || path === join(root, 'migrations'),
  });
}

async function copyPage(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of pageFileNames) await cp(docsPageFile(name), join(folder, name));
}

async function writeConsolePage(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, bytes] of await buildConsolePage()) await writeFile(join(folder, name), bytes);
}

/**
 * One function's bundle: `index.cjs`, and beside it in files of their own what it loads when it is
 * first used, so that a start reads and keeps nothing of that: status started in 108 ms of CPU instead
 * of 201, and took 63 MB instead of 89. esbuild parts ES modules alone, so each file becomes CommonJS
 * afterwards. Of a CommonJS package `import()` then gives the default alone. Names stay as they are:
 * stacks show them, and giving them back took 10 ms.
 *
 * Tried and left: V8's code cache of these files, made at the build. A start of usage took 85 ms of CPU
 * with it, 114 without (a bare server: 24, one of Hono alone: 48), but it is good only for the very Node
 * that made it, and the platform's builder brings its own.
 */
export async function bundleFunction(name: string, outdir: string): Promise<string> {
  const common = { target: 'node20', minifySyntax: true, minifyWhitespace: true } as const;
  const { outputFiles } = await build({
    ...common,
    entryPoints: { index: join(root, 'functions', name, 'index.ts') },
    outdir,
    outExtension: { '.js': '.cjs' },
    chunkNames: 'parts/[name]-[hash]',
    write: false,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    external: ['pg-native', 'pg-cloudflare'],
    // Of ES modules only what is used gets in: OpenTelemetry takes 88 kB instead of 320.
    mainFields: ['module', 'main'],
    // What a bundle has not: only the default folder of migrate() asks, and the bundle names its own.
    logOverride: { 'empty-import-meta': 'silent' },
    logLevel: 'warning',
  });
  await mkdir(join(outdir, 'parts'), { recursive: true });
  await Promise.all(
    outputFiles.map(async ({ path, text }) => {
      const { code } = await transform(text, {
        ...common,
        platform: 'node',
        format: 'cjs',
        // Else Node's loader of ES modules would be started for what has become CommonJS.
        supported: { 'dynamic-import': false },
      });
      await writeFile(path, code);
    }),
  );
  return join(outdir, 'index.cjs');
}

/** The local run as one module beside `node_modules`, which stays where it is. */
export async function buildLocal(): Promise<string> {
  const outfile = join(root, 'dist', 'local.mjs');
  await build({
    entryPoints: [join(root, 'scripts/local/main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    packages: 'external',
    sourcemap: true,
    logLevel: 'warning',
  });
  // Its service would stay as a child of the local run.
  await stop();
  return outfile;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const names = await buildFunctions();
  console.log(`built ${names.map((name) => `functions/${name}/dist/index.cjs`).join(', ')}`);
}
