import { cp, mkdir, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const own = new Set(['.git', '.data', 'node_modules', 'dist', 'coverage']);

/**
 * Copies this checkout into `folder`, so that what commands write and keep beside it is not ours.
 * Only the installed packages are shared.
 */
export async function scratchCheckout(folder: string): Promise<string> {
  const checkout = join(folder, 'checkout');
  await mkdir(checkout);
  await cp(root, checkout, {
    recursive: true,
    filter: (source) => source === root || !own.has(basename(source)),
  });
  await symlink(join(root, 'node_modules'), join(checkout, 'node_modules'));
  return checkout;
}
