import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import type { Container } from './manifests.ts';

/** How a container's process is started. */
export interface Program {
  folder: string;
  /** For Node. */
  args: readonly string[];
}

const packageForm = z.object({
  name: z.string(),
  scripts: z.object({ start: z.string().regex(/^node /, 'must start with node') }),
});

const functions = fileURLToPath(new URL('../../functions', import.meta.url));

/**
 * What an image runs: the function whose package has the image's name, by its start command, as the
 * buildpack starts it, or by the manifest's own.
 *
 * @throws Error when no function has that name, or the command is not Node.
 */
export function programOf({ image, command, args = [] }: Container): Program {
  const [, name = image] = /([^/:@]+)(?::[^/@]+)?(?:@.+)?$/.exec(image) ?? [];
  for (const entry of readdirSync(functions, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const folder = join(functions, entry.name);
    const form = packageForm.parse(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')));
    if (form.name !== name) continue;
    const [node, ...start] = [...(command ?? form.scripts.start.split(' ')), ...args];
    if (node !== 'node') throw new Error(`${image}: only node is run here, not ${node}`);
    return { folder, args: start };
  }
  throw new Error(`${image}: no package in functions/ has the name ${name}`);
}
