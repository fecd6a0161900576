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
      await build({
        entryPoints: [join(root, 'functions', name, 'index.ts')],
        outfile: join(outdir, 'index.cjs'),
        bundle: true,
        platform: 'node',
        target: 'node20',
        format: 'cjs',
        minify: true,
        keepNames: true,
        external: ['pg-native', 'pg-cloudflare'],
        logLevel: 'warning',
      });
    }),
  );
  return names;
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
