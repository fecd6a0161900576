import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { readSettings, type Settings } from '../shared/platform/env.ts';
import { preparations, visit } from '../shared/preparation/preparation.ts';
import { provisionGrafana } from './grafana/provisioning.ts';
import { runScript } from './run-script.ts';
import { lookForTools } from './tools/toolbox.ts';
import { cacheServer, collector } from './watched-servers.ts';

interface Options {
  checkOnly: boolean;
  strict: boolean;
  prometheus: string;
  grafana: string;
}

const { checkOnly, strict, prometheus, grafana } = new Command('scripts/bootstrap')
  .description(
    'Looks for the tools, and prepares every server that a setting names: schema, stream and dead-letter queue, bucket; and points Grafana at dashboards/',
  )
  .option('--check-only', 'changes nothing: says what is there and what is not', false)
  .option(
    '--strict',
    'fails for every tool that is missing, not only for those all work takes',
    false,
  )
  .option('--prometheus <url>', 'where Grafana finds Prometheus', 'http://localhost:9090')
  .option(
    '--grafana <folder>',
    'where it finds its provisioning',
    fileURLToPath(new URL('../.data/grafana/provisioning', import.meta.url)),
  )
  .parse()
  .opts<Options>();

runScript(async () => {
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  console.log('tools');
  const missing = await reportTools();
  // After the tools, of which a wrong setting says nothing.
  const settings = readSettings(process.env, { knowsActors: false });
  console.log('servers');
  const servers = [...preparations(), cacheServer, collector];
  const faults = await visit(checkOnly ? 'check' : 'prepare', servers, settings, console.log);
  if (servers.every(({ setting }) => settings[setting] === undefined))
    console.log(howToHaveServers);
  if (!checkOnly) await reportGrafana(settings);
  if (missing + faults > 0) process.exitCode = 1;
});

/** @returns how many are missing that must not be */
async function reportTools(): Promise<number> {
  let missing = 0;
  for (const { isThere, isRequired, words } of await lookForTools()) {
    const isFault = !isThere && (isRequired || strict);
    if (isFault) missing += 1;
    console.log(`  ${isThere ? 'ok' : isFault ? 'FAILED' : '- '} ${words}`);
  }
  return missing;
}

const howToHaveServers = `  npm start needs none. To have them: docker compose up --wait, whose addresses stand in compose.yaml,
  or npm run services -- up, and eval "$(npm run --silent services -- env)"`;

async function reportGrafana({ DATABASE_URL }: Settings): Promise<void> {
  const sources = { prometheusUrl: prometheus, databaseUrl: DATABASE_URL };
  const start = await provisionGrafana(resolve(grafana), sources);
  console.log('grafana');
  console.log(
    DATABASE_URL === undefined
      ? '  ok dashboards/ and Prometheus provisioned; for PostgreSQL set DATABASE_URL'
      : '  ok dashboards/, Prometheus and PostgreSQL provisioned, for the role in docs/runbook.md',
  );
  console.log(start.replaceAll(/^/gm, '     '));
}
