import { existsSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, stop } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * One self-contained CommonJS bundle for each function, in its own `dist/`, since a build on the
 * platform sees only the function's folder. CommonJS, because `pg` breaks in ESM bundles.
 */
export async function buildFunctions(): Promise<string[]> {
  const names = readdirSync(join(root, 'functions')).filter((name) =>
    existsSync(join(root, 'functions', name, 'index.ts')),
  );
  await Promise.all(
    names.map(async (name) => {
      const outdir = join(root, 'functions', name, 'dist');
      await rm(outdir, { recursive: true, force: true });
      await bundleFunction(name, outdir);
    }),
  );
  return names;
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
    logLevel: 'warning',
  });
  return outfile;
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
