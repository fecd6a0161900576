import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sampleEvents, sampleOrgs } from '../scripts/sample-events.ts';
import { RABBITMQ_SERVER } from '../scripts/services/debian.ts';
import { freePort } from '../scripts/services/free-port.ts';
import { controlEnv, runRabbitmq } from '../scripts/services/rabbitmq.ts';
import { runCommand } from '../scripts/services/run-command.ts';
import { createSupervisor } from '../scripts/services/supervisor.ts';
import { encodeEvent } from '../shared/events/usage-event.ts';
import { type Server, serve } from '../shared/http/serve.ts';
import { openS3Store } from '../shared/platform/object-store/s3-store.ts';
import { deleteBucket } from './support/bucket.ts';
import { composeBroker } from './support/compose-broker.ts';
import { runbookCommands } from './support/runbook.ts';
import { scratchCheckout } from './support/scratch-checkout.ts';
import { services } from './support/services.ts';
import { type StartedProgram, startProgram } from './support/start-program.ts';
import { publishTraffic } from './support/stream-traffic.ts';
import { type System, startSystem } from './support/system.ts';
import { until } from './support/until.ts';
import { usageEvent } from './support/usage-events.ts';

/** What each command shows that is run in a shell as it stands. */
const shows: Record<string, RegExp> = {
  'curl -s http://127.0.0.1:8084/analytics/v1/status/readyz':
    /"status":"ready","components":\{"database":"healthy","stream":"healthy","cache":"healthy","objectStore":"healthy"\}/,
  "curl -s http://127.0.0.1:8084/metrics | grep '^analytics_'":
    /^analytics_ingestion_events_total\{.*\} [1-9]/m,
  "curl -s http://127.0.0.1:8084/metrics | grep -c '^analytics_'": /^[1-9]\d+\n$/,
  [`curl -s 'http://127.0.0.1:8084/analytics/v1/orgs/${sampleOrgs[0]}/freshness' -H 'X-Actor-Subject: me' -H 'X-Actor-Roles: analytics:usage:read' -H 'X-Actor-Orgs: ${sampleOrgs[0]}'`]:
    /"status":"fresh"/,
  'npm run verify': /OK\n$/,
  'npm run verify -- --days 7': /OK\n$/,
  'npm run verify -- --days 7 --repair': /OK\n$/,
  'npm run refresh': /folded \d+ batches/,
  'npm run refresh -- --from 2026-11-01 --to 2026-11-08': /rebuilt 7 days/,
  'npm run freshness -- --compare': /^[1-9]\d* keys in redis, 0 differences$/m,
  'npm run freshness -- --clear': /^[1-9]\d* keys dropped from redis$/m,
  'npm run bootstrap': /declared analytics\.usage\.v1, .*\n.*put, get and delete work/,
  'npm run bootstrap -- --check-only': /every stream is there\n.*put, get and delete work/,
  'npm run replay -- events.ndjson': /^stored +2$/m,
  'npm run catalog -- import names.csv': /names\.csv: 1 orgs and 0 models named$/m,
  'npm run migrate': /already up to date/,
  'psql "$DATABASE_URL" -c \'select 1\'': /\(1 row\)/,
  'rabbitmqctl list_queues name type messages': /^analytics\.usage\.v1\tstream\t[1-9]\d*$/m,
  'rabbitmqctl list_connections user state': /^analytics\trunning$/m,
  'npm run dlq -- list': /^2 of 2 letters in analytics\.usage\.v1\.dlq match$/m,
  "npm run dlq -- list --reason 'differs from'":
    /^0 of 2 letters in analytics\.usage\.v1\.dlq match$/m,
  "npm run dlq -- list --reason 'occurredAt: ' --since 2026-11-20 --json": /"matched":1,/,
  "npm run dlq -- replay --dry-run --reason 'is more than 10 minutes ahead' --limit 10000":
    /^1 would be published, 0 still not valid$/m,
  "npm run dlq -- replay --reason 'is more than 10 minutes ahead' --limit 10000":
    /^1 published, 0 still not valid$/m,
  'npm run dlq -- replay --from dropped.ndjson': /^1 published, 0 still not valid$/m,
  "rabbitmqctl set_policy --apply-to queues dead-letters '\\.dlq$' '{\"delivery-limit\":1000000000}'":
    /^Setting policy "dead-letters"/,
};

const up = 'npm run services -- up --only rabbitmq';
const address = 'eval "$(npm run --silent services -- env)"';
const down = 'npm run services -- down';

const show = 'npm run dlq -- show analytics.usage.v1/4711';
const drop = `npm run dlq -- drop --org ${sampleOrgs[0]} --until 2026-11-01 --to dropped.ndjson`;
const dropAll = 'npm run dlq -- drop --all';

/** Those that need more than a shell, or would run for too long. */
const checks: Record<string, () => Promise<void>> = {
  [show]: async () => {
    const [, offset = ''] =
      /v1\/(\d+) .* unknown org /.exec(await inShell('npm run dlq -- list')) ?? [];
    expect(await inShell(show.replace('4711', offset))).toMatch(/^reasons\n[\s\S]*^no event$/m);
  },
  [drop]: async () => {
    await eventAhead();
    await until('it is rejected', async () =>
      /^2 of 2/m.test(await inShell('npm run dlq -- list')),
    );
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
    // Nobody can be asked here.
    const dropped = await inShell(`${drop.replace('2026-11-01', tomorrow)} --yes`);
    expect(dropped).toMatch(/^1 dropped$/m);
  },
  [dropAll]: async () => expect(await inShell(`${dropAll} --yes`)).toMatch(/^1 dropped$/m),
  'npm start': () =>
    whileStarted('npm start', system.environment, async (local) => {
      expect(local.output()).toMatch(
        /^ {2}events +stream analytics\.usage\.v1 at .*consumer running/m,
      );
    }),
  'ENABLE_RBAC=false npm start': async () => {
    expect((await startedBare()).unnamedStatus).toBe(200);
  },
  'psql "$(cat .data/database-url)"': async () => {
    expect((await startedBare()).tables).toMatch(/analytics \| usage_daily /);
  },
  'psql "$DATABASE_URL"': async () => {
    expect(await inShell(`psql "$DATABASE_URL" <<< 'select 1 as one'`)).toMatch(/\(1 row\)/);
  },
  'npm run dashboards': async () => {
    const file = 'dashboards/usage.json';
    await writeFile(join(checkout, file), 'not yet');
    expect(await inShell('npm run dashboards')).toContain(file);
    const written = await readFile(join(checkout, file), 'utf8');
    expect(written).toBe(await readFile(new URL(`../${file}`, import.meta.url), 'utf8'));
  },
  'npm run bench': async () => {
    expect(await inShell('npm run bench -- --help')).toContain('Measures figures');
  },
  'npm test': async () => {
    // The one that asks the broker for something.
    const one = `npm test -- test/services.test.ts -t 'RabbitMQ confirms'`;
    const output = await inShell(one, { ...services() });
    expect(output).toContain('[services] rabbitmq: from the environment');
    expect(output).toMatch(/^1 passed, 0 failed/m);
  },
  'docker compose up --wait rabbitmq': async () => {
    expect(await composeBroker()).toMatch(/^amqp:/);
    const hasCompose = await inShell('docker compose version').then(
      () => true,
      () => false,
    );
    if (hasCompose) await inShell('docker compose config --quiet');
  },
  'export RABBITMQ_URL=amqp://analytics:analytics@127.0.0.1:5672': async () => {
    expect(await composeBroker()).toBe('amqp://analytics:analytics@127.0.0.1:5672');
  },
  [up]: async () => expect(await upAndDown()).toMatch(/^rabbitmq: started in/m),
  [address]: async () => expect(await upAndDown()).toMatch(/^amqp:\/\/analytics:.*@127\.0\.0\.1:/m),
  [down]: async () => expect(await upAndDown()).toMatch(/^stopped rabbitmq$/m),
};

/** Where not all of a command is run. */
const notes: Record<string, string> = {
  'docker compose up --wait rabbitmq': ' (compose.yaml has that service; it is not started)',
  'npm run bench': ' (its options alone)',
  [drop]: ' (with --yes)',
  [dropAll]: ' (with --yes)',
  'npm test': ' (one test of all)',
};

const commands = runbookCommands().filter((command) => !command.startsWith('kubectl '));

test('it is known what each command of the runbook must show', () => {
  expect(Object.keys({ ...shows, ...checks }).toSorted()).toEqual(commands.toSorted());
});

const supervisor = createSupervisor();
let checkout: string;
/** Of the broker's node, on which rabbitmqctl is run. */
let nodeFolder: string;
let system: System;
let server: Server;

describe.skipIf(!existsSync(RABBITMQ_SERVER))('with a broker of its own', () => {
  beforeAll(async () => {
    checkout = await scratchCheckout(await supervisor.temporaryFolder('runbook'));
    supervisor.onStop(['npm', '--prefix', checkout, 'run', 'services', '--', 'down']);
    nodeFolder = await supervisor.temporaryFolder('runbook-rabbitmq');
    const broker = await runRabbitmq({ folder: nodeFolder, supervisor, keep: false });
    system = await startSystem({
      // Its streams go with the broker; their names are those of the runbook.
      stream: false,
      environment: {
        ...broker,
        // `freshness -- --clear` takes what other tests have cached in the first database.
        REDIS_URL: new URL('/15', services().REDIS_URL).href,
        S3_BUCKET: `test-${randomUUID()}`,
      },
    });
    server = await serve(system.app, { HTTP_PORT: 0 }, '127.0.0.1');
    await openS3Store(system.settings).ensure();
    await eventsAndAReject(broker.RABBITMQ_URL);
    const event = (eventId: string) => encodeEvent(usageEvent({ eventId })).toString();
    await writeFile(
      join(checkout, 'events.ndjson'),
      `${event(randomUUID())}\n${event(randomUUID())}\n`,
    );
    await writeFile(join(checkout, 'names.csv'), `kind,id,name\norg,${sampleOrgs[0]},Acme\n`);
  });
  afterAll(async () => {
    await server?.close();
    await system?.close();
    await deleteBucket(system.settings);
    await supervisor.stop();
  });

  const named = commands.map((command) => [command + (notes[command] ?? ''), command] as const);
  test.each(named)('%s', async (_, command) => {
    const check = checks[command];
    if (check !== undefined) return check();
    expect(await inShell(typed(command))).toMatch(shows[command] ?? /never/);
  });
});

/** With the test's address, and days that never leave retention. */
function typed(command: string): string {
  const day = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
  return command
    .replace('127.0.0.1:8084', `127.0.0.1:${server.port}`)
    .replace('2026-11-01', day(-6))
    .replace('2026-11-08', day(1));
}

async function inShell(command: string, environment = system.environment): Promise<string> {
  const node = command.startsWith('rabbitmqctl ') ? await controlEnv(nodeFolder) : {};
  return runCommand('bash', ['-o', 'pipefail', '-c', command], {
    cwd: checkout,
    env: { ...bare, HTTP_PORT: String(server.port), ...environment, ...node },
    timeoutMs: 60_000,
  });
}

/** What a shell has before anything is set up; Debian's own rabbitmqctl only serves its own node. */
const bare = {
  PATH: `${dirname(RABBITMQ_SERVER)}:${process.env.PATH}`,
  HOME: process.env.HOME,
};

async function whileStarted<T>(
  command: string,
  environment: Record<string, string>,
  work: (local: StartedProgram, port: number) => Promise<T>,
): Promise<T> {
  const port = await freePort();
  const local = await startProgram(command, 'Ctrl-C stops it.', {
    cwd: checkout,
    env: { ...bare, ...environment, HTTP_PORT: String(port) },
  });
  try {
    return await work(local, port);
  } finally {
    await local.interrupt();
  }
}

let bareRun: Promise<{ unnamedStatus: number; tables: string }> | undefined;

/** On nothing but Node, with an embedded database: what a request without an actor and psql get. */
function startedBare() {
  bareRun ??= whileStarted('ENABLE_RBAC=false npm start', {}, async (_, port) => {
    const url = `http://127.0.0.1:${port}/analytics/v1/orgs/${sampleOrgs[0]}/freshness`;
    const { status: unnamedStatus } = await fetch(url);
    const psql = `psql "$(cat .data/database-url)" <<< '\\dt analytics.*'`;
    return { unnamedStatus, tables: await inShell(psql, {}) };
  });
  return bareRun;
}

let servicesRun: Promise<string> | undefined;

function upAndDown(): Promise<string> {
  servicesRun ??= inShell(`${up} && ${address} && printenv RABBITMQ_URL && ${down}`);
  return servicesRun;
}

/** Something in each table that the commands look at. */
async function eventsAndAReject(url: string): Promise<void> {
  const { settings, sink } = system;
  await sink.accept(sampleEvents({ untilMs: Date.now(), hours: 24, perHour: 5 }));
  const noEvent = { content: Buffer.from('no event'), event: null };
  await publishTraffic(url, settings.RABBITMQ_STREAM, [noEvent]);
  await eventAhead();
  await until('all is stored and folded', async () => {
    await system.refresh();
    const { body } = await system.get(`/analytics/v1/orgs/${sampleOrgs[0]}/freshness`);
    const text = await (await system.app.request('/metrics')).text();
    return /outcome="rejected"\} 2$/m.test(text) && /"status":"fresh"/.test(JSON.stringify(body));
  });
}

/** One that is rejected for being ahead of the clock, and is not any more two seconds later. */
async function eventAhead(): Promise<void> {
  const { RABBITMQ_URL = '', RABBITMQ_STREAM: stream } = system.settings;
  const occurredAtMs = Date.now() + 602_000;
  const event = usageEvent({ eventId: randomUUID(), orgId: sampleOrgs[0], occurredAtMs });
  await publishTraffic(RABBITMQ_URL, stream, [{ content: encodeEvent(event), event: null }]);
}
