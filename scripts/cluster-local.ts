import { Command, InvalidArgumentError, Option } from 'commander';
import { buildFunctions } from './build.ts';
import { startCluster } from './cluster-local/cluster.ts';
import { greetingOf, lineOf } from './cluster-local/screen.ts';
import { freshStores, givenStores } from './cluster-local/stores.ts';
import { type Overlay, overlays, renderOverlay } from './knative/render.ts';
import { runScript } from './run-script.ts';
import { startServices } from './services/start.ts';

interface Options {
  overlay: Overlay;
  port: number;
  timeScale: number;
  useGiven: boolean;
  logs: boolean;
  build: boolean;
}

const options = new Command('npm run cluster-local --')
  .description(
    'Runs an overlay of knative/ on this machine: each bundle as a process of its own with the ' +
      'variables of its manifest, started by its first request and stopped when idle; routes, ' +
      'schedules, broker and scaling by the manifests',
  )
  .addOption(new Option('--overlay <name>', 'which').choices(overlays).default('development'))
  .option('--port <number>', 'where the routes are served', portOption, 8080)
  .option(
    '--time-scale <factor>',
    'for all times that the platform waits: 0.1 makes its minute six seconds',
    scaleOption,
    1,
  )
  .option(
    '--use-given',
    'work in the database of DATABASE_URL, the stream RABBITMQ_STREAM and the bucket S3_BUCKET, ' +
      'and leave them; else fresh ones are made and removed at the end',
    false,
  )
  .option('--no-build', 'run the bundles that are there')
  .option('--logs', 'print what the functions log', false)
  .parse()
  .opts<Options>();

runScript(async () => {
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  const interrupted = firstSignal();
  const objects = await renderOverlay(options.overlay);
  if (options.build) await buildFunctions();
  const services = await startServices({ log: console.log });
  try {
    const stores = options.useGiven
      ? givenStores(services.env, process.env.RABBITMQ_STREAM)
      : await freshStores(services.env);
    try {
      const cluster = await startCluster({
        objects,
        secrets: stores.secrets,
        settings: stores.settings,
        port: options.port,
        timeScale: options.timeScale,
        onEvent: (event) => {
          const line = lineOf(event, new Date());
          if (line !== null) console.log(line);
        },
        onLine: (pod, line) => {
          if (options.logs) console.log(`${pod.padEnd(28)} | ${line}`);
        },
      });
      console.log(`\noverlay ${options.overlay}, platform time x ${options.timeScale}`);
      console.log(greetingOf(cluster, stores));
      console.log(`\n${await interrupted}: stopping`);
      await cluster.stop();
    } finally {
      await stores.close();
    }
  } finally {
    await services.stop();
  }
});

/** More of them are not listened to: npm and tsx pass on what the terminal has sent us already. */
function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, resolve);
  });
}

function portOption(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new InvalidArgumentError('must be a port from 0 to 65535.');
}

function scaleOption(text: string): number {
  const factor = Number(text);
  if (factor >= 0.001 && factor <= 100) return factor;
  throw new InvalidArgumentError('must be a number from 0.001 to 100.');
}
