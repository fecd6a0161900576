import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { generatedManifests } from './knative/files.ts';
import { runScript } from './run-script.ts';

new Command('npm run manifests --')
  .description('Writes the Knative Services from functions/*/func.yaml and scripts/knative')
  .parse();

runScript(async () => {
  for (const { path, text } of generatedManifests()) {
    await writeFile(fileURLToPath(new URL(`../${path}`, import.meta.url)), text);
    console.log(path);
  }
});
