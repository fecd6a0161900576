import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { cliDocs, cliDocsFile } from './docs.ts';

test('docs/cli.md is what npm run cli-docs writes', async () => {
  expect(cliDocs()).toBe(await readFile(cliDocsFile, 'utf8'));
});
