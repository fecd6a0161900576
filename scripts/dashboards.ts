import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { generatedFiles } from './dashboards/files.ts';
import { defaultRunbook } from './dashboards/rule.ts';
import { runScript } from './run-script.ts';

const { runbook } = new Command('npm run dashboards --')
  .description("Writes Grafana's dashboards and Prometheus' rules from scripts/dashboards")
  .option('--runbook <url>', 'where the runbook is read', defaultRunbook)
  .parse()
  .opts<{ runbook: string }>();

runScript(async () => {
  for (const { path, text } of generatedFiles(runbook)) {
    const file = fileURLToPath(new URL(`../${path}`, import.meta.url));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    console.log(path);
  }
});
