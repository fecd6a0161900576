import { writeFile } from 'node:fs/promises';
import { cliDocs, cliDocsFile } from './cli/docs.ts';
import { runScript } from './run-script.ts';

runScript(async () => {
  await writeFile(cliDocsFile, cliDocs());
  console.log('wrote docs/cli.md');
});
