import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { documentFile } from './docs-page.ts';
import { openApiText } from './openapi/text.ts';
import { runScript } from './run-script.ts';

new Command('npm run openapi --')
  .description("Writes docs/openapi.json from the functions' own descriptions and schemas")
  .parse();

runScript(async () => {
  await writeFile(documentFile, openApiText());
  console.log('wrote docs/openapi.json');
});
