import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { root, type Step } from './step.ts';

/** What an image is built from. Left in place, a function's `.funcignore` lets the same through. */
export const uploaded = ['.funcignore', 'func.yaml', 'package.json', 'dist'] as const;

/**
 * Copies what an image is built from into a folder of its own, in place of what is there. func
 * writes into the func.yaml that it deploys: image, namespace, its newest form.
 */
export function copyUpload(name: string, folder: string): Step {
  const files = uploaded.map((file) => `functions/${name}/${file}`);
  return {
    shell: `rm -rf ${folder}\nmkdir -p ${folder}\ncp -R ${files.join(' ')} ${folder}`,
    run: async () => {
      const target = join(root, folder);
      await rm(target, { recursive: true, force: true });
      await mkdir(target, { recursive: true });
      for (const file of uploaded) {
        await cp(join(root, 'functions', name, file), join(target, file), { recursive: true });
      }
    },
  };
}
