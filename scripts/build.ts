import { existsSync, readdirSync } from 'node:fs';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin, stop } from 'esbuild';
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
 * One self-contained CommonJS bundle for each function, in its own `dist/`, since a build on the
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

/** One function's bundle. `isReadable` keeps names, for a test that looks at what it loads. */
export async function bundleFunction(
  name: string,
  outdir: string,
  isReadable = false,
): Promise<string> {
  const outfile = join(outdir, 'index.cjs');
  await build({
    entryPoints: [join(root, 'functions', name, 'index.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    minify: !isReadable,
    keepNames: true,
    external: ['pg-native', 'pg-cloudflare'],
    // Of ES modules only what is used gets in: OpenTelemetry takes 88 kB instead of 320.
    mainFields: ['module', 'main'],
    plugins: [englishAlone],
    // What a bundle has not: only the default folder of migrate() asks, and the bundle names its own.
    logOverride: { 'empty-import-meta': 'silent' },
    logLevel: 'warning',
  });
  return outfile;
}

/**
 * zod brings its messages in fifty languages, 268 kB of a bundle's 1,334, which a start would parse.
 *
 * Tried and left: V8's code cache of a bundle, made at the build. A start of usage took 140 ms of CPU
 * with it, 190 without (a bare server: 70), but it is good only for the very Node that made it, and
 * the platform's builder brings its own.
 */
const englishAlone: Plugin = {
  name: 'english-alone',
  setup: ({ onLoad }) => {
    onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, ({ path }) => ({
      contents: `export { default as en } from './en.js'`,
      resolveDir: dirname(path),
    }));
  },
};

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
