// `npm start` on a fresh checkout: plain Node without dependencies, since it installs them.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const usage = `usage: npm start [-- options]
  --migrate        bring a database given by DATABASE_URL up to date (the embedded one always is)
  --seed           fill an empty database given by DATABASE_URL with synthetic events
  --data FOLDER    where the embedded database and local exports are kept (default .data)
  --help           this page
Settings come from the environment: DATABASE_URL, RABBITMQ_URL, REDIS_URL, S3_ENDPOINT, HTTP_PORT …
`;

// Deployed functions run on Node 24; on 20 the SDK would print five lines about it.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
const options = readOptions(process.argv.slice(2));
if (!existsSync(join(root, 'node_modules', '.package-lock.json'))) {
  console.log('installing dependencies: npm ci');
  const npm = spawnSync('npm', ['ci'], {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (npm.status !== 0) process.exit(npm.status ?? 1);
}
try {
  const { tsImport } = await import('tsx/esm/api');
  const { buildLocal } = await tsImport('./build.ts', import.meta.url);
  const { runLocal } = await import(pathToFileURL(await buildLocal()).href);
  await runLocal(process.env, { ...options, migrationsFolder: join(root, 'migrations') });
} catch (error) {
  console.error(`cannot start: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
}

function readOptions(args) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        data: { type: 'string', default: join(root, '.data') },
        migrate: { type: 'boolean', default: false },
        seed: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    return { dataFolder: resolve(values.data), migrate: values.migrate, seed: values.seed };
  } catch (error) {
    console.error(`${error.message}\n${usage}`);
    process.exit(2);
  }
}
