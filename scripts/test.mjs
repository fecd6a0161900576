// `npm test` on a fresh checkout: plain Node without dependencies, since it installs them.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const argv = process.argv.slice(2);
const full = argv.includes('--full');
const extra = argv.filter((argument) => argument !== '--full');

if (!isInstalled()) {
  console.log('node_modules is missing or not what package-lock.json says: npm ci');
  const npm = spawnSync('npm', ['ci'], {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (npm.status !== 0) process.exit(npm.status ?? 1);
}

const projects = ['unit', 'integration', 'hosted', 'faults', ...(full ? ['full'] : [])];
const child = spawn(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    ...projects.flatMap((project) => ['--project', project]),
    ...['--reporter', 'default', '--reporter', './test/support/closing-line-reporter.ts'],
    ...extra,
  ],
  {
    cwd: root,
    // The reporter writes its counts into a fourth pipe: nothing is left behind, even by kill -9.
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, TEST_COUNTS_FD: '3', ...(full ? { TEST_FULL: '1' } : {}) },
  },
);
let report = '';
child.stdio[3].setEncoding('utf8').on('data', (text) => {
  report += text;
});
// A terminal sends Ctrl-C to both of us; wait for the servers to be stopped. A plain TERM comes to
// us alone and is passed on.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.once('error', (error) => finish(1, error.message));
child.once('close', (code, signal) => finish(code ?? 128 + constants.signals[signal ?? 'SIGTERM']));

/** The closing line, last and alone, then vitest's own exit code. */
function finish(code, complaint) {
  if (complaint) console.error(complaint);
  // Empty when vitest did not get as far as reporting.
  const { passed, failed, skipped } = JSON.parse(report || '{"passed":0,"failed":0,"skipped":0}');
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  const ran = passed + failed > 0;
  process.exit(code === 0 && (!ran || failed > 0) ? 1 : code);
}

/** Compares contents, not times: a checkout or a copy gives files any time it likes. 5 ms. */
function isInstalled() {
  try {
    const wanted = read('package-lock.json').packages;
    const found = read('node_modules/.package-lock.json').packages;
    return Object.entries(wanted).every(
      ([path, { version, optional, link }]) =>
        path === '' ||
        link ||
        (found[path] === undefined
          ? optional
          : found[path].version === version && existsSync(join(root, path))),
    );
  } catch {
    return false;
  }
}

function read(path) {
  return JSON.parse(readFileSync(join(root, path), 'utf8'));
}
