import { readFile } from 'node:fs/promises';

/** What the page and the texts for machines are made of beside our own few lines. */
export const pageFileNames = [
  'openapi.json',
  'llms.txt',
  'swagger-ui-bundle.js',
  'swagger-ui.css',
] as const;
export type PageFileName = (typeof pageFileNames)[number];
export type PageFiles = Readonly<Record<PageFileName, string>>;

/** Reads them once, as text, from where `pathOf` says. */
export async function readPageFiles(pathOf: (name: PageFileName) => string): Promise<PageFiles> {
  const read = (name: PageFileName) => readFile(pathOf(name), 'utf8');
  return {
    'openapi.json': await read('openapi.json'),
    'llms.txt': await read('llms.txt'),
    'swagger-ui-bundle.js': await read('swagger-ui-bundle.js'),
    'swagger-ui.css': await read('swagger-ui.css'),
  };
}
