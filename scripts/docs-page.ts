import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { PageFileName } from '../functions/docs/page-files.ts';

/** Where `npm run openapi` writes the API's document. */
export const documentFile = fileURLToPath(new URL('../docs/openapi.json', import.meta.url));

/** The guide for machines, as the repository has it. */
export const llmsFile = fileURLToPath(new URL('../llms.txt', import.meta.url));

/** Where each file of the docs function's page is in this checkout. */
export function docsPageFile(name: PageFileName): string {
  if (name === 'openapi.json') return documentFile;
  if (name === 'llms.txt') return llmsFile;
  return createRequire(import.meta.url).resolve(`swagger-ui-dist/${name}`);
}
