import { cp, mkdtemp, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../../scripts/services/run-command.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** A copy of this checkout with every function built, so that nobody's `dist/` is pulled away. */
export async function builtCheckout(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'analytics-checkout-'));
  const parts = [
    'functions',
    'scripts',
    'shared',
    'migrations',
    'docs',
    'llms.txt',
    'package.json',
  ];
  for (const part of parts) {
    await cp(join(root, part), join(folder, part), {
      recursive: true,
      filter: (path) => basename(path) !== 'dist',
    });
  }
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  await runCommand(process.execPath, ['--import', 'tsx', 'scripts/build.ts'], {
    cwd: folder,
    timeoutMs: 120_000,
  });
  return folder;
}
