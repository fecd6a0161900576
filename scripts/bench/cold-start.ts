import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { functionNames } from '../build.ts';
import { actorHeaders, openApi, pingOf } from './api.ts';
import { benchDatabase } from './database.ts';
import { benchStream } from './events.ts';
import { alone, type Bench, compare, type Figure, measureInTurns, median } from './figure.ts';
import { bundleOf, startProgram } from './program.ts';
import { busyOrg } from './usage-rows.ts';

const org = `/analytics/v1/orgs/${busyOrg}`;
const window = 'start=2026-01-01T00:00:00Z&end=2026-01-31T00:00:00Z';

type FirstRequest = [path: string, options?: Parameters<ReturnType<typeof openApi>['send']>[1]];

/** What each function is asked first: something that needs its stores, where it has any. */
const firstRequests: Readonly<Record<string, () => FirstRequest>> = {
  console: () => ['/analytics/console'],
  docs: () => ['/analytics/v1/openapi.json'],
  events: () => [
    '/analytics/v1/events',
    {
      method: 'POST',
      headers: { ...actorHeaders, 'Content-Type': 'application/json' },
      body: JSON.stringify({
        eventId: randomUUID(),
        orgId: busyOrg,
        modelId: busyOrg,
        occurredAt: new Date().toISOString(),
        latencyMs: 1,
        status: 'success',
        inputTokens: 1,
        outputTokens: 1,
        costEstimateCents: 1,
      }),
    },
  ],
  'export-worker': () => ['/', pingOf('exports')],
  exports: () => [`${org}/exports`],
  refresh: () => ['/', pingOf('refresh')],
  reliability: () => [`${org}/reliability?${window}`],
  status: () => [`${org}/freshness`],
  usage: () => [`${org}/usage?${window}`],
  // Its first run waits 10 s for events of its own to be answered: no time of a start.
  verify: () => ['/health/liveness'],
};

/** These two serve no requests but probes. */
const notHttp = new Set(['consumer', 'bootstrap']);

const restMs = 250;

/** Each HTTP function's bundle from its spawn, beside a bare `node:http` server. */
export const coldStartBench: Bench = {
  name: 'cold-start',
  needs: ['postgres', 'rabbitmq', 'redis', 's3'],
  run: async ({ env, scale, rounds, say }) => {
    const stream = await benchStream(env.RABBITMQ_URL);
    const server = await benchDatabase(env.DATABASE_URL);
    const settings = { ...env, ...stream.settings, DATABASE_URL: server.url };
    const starts = scale === 'tiny' ? 1 : rounds * 2;
    const figures: Figure[] = [];
    try {
      for (const name of functionNames().filter((each) => !notHttp.has(each))) {
        say(`cold-start: ${name}`);
        figures.push(...(await startsOf(name, settings, starts)));
      }
      return figures;
    } finally {
      await server.drop();
      await stream.delete();
    }
  },
};

async function startsOf(
  name: string,
  settings: Readonly<Record<string, string>>,
  rounds: number,
): Promise<Figure[]> {
  const request = firstRequests[name];
  if (request === undefined) throw new Error(`cold-start knows no first request for ${name}`);
  const firstMs: number[] = [];
  const idleMb: number[] = [];
  const peaks: number[] = [];
  const { ours, bare } = await measureInTurns(rounds, {
    ours: async () => {
      const program = await startProgram(bundleOf(name), settings);
      const api = openApi(program.url);
      try {
        const startedMs = performance.now();
        await api.send(...request());
        firstMs.push(performance.now() - startedMs);
        peaks.push(await program.peakMb());
        await sleep(restMs);
        idleMb.push(await program.residentMb());
        return program.readyMs;
      } finally {
        api.close();
        await program.stop();
      }
    },
    bare: async () => {
      const program = await startProgram(bareServer, {});
      await program.stop();
      return program.readyMs;
    },
  });
  const peakMb = median(peaks);
  return [
    {
      name: `cold-start-${name}`,
      ...compare(ours, bare),
      unit: 'ms',
      goal: 1.7,
      higherIsBetter: false,
      peakMb,
      what: `spawn of ${name} to its first 200 on readiness; ceiling: a bare node:http server`,
    },
    {
      name: `first-request-${name}`,
      ...alone(firstMs),
      unit: 'ms',
      goal: null,
      higherIsBetter: false,
      peakMb,
      what: `the first request after it that needs its stores: ${request()[1]?.method ?? 'GET'} ${request()[0].split('?')[0]}`,
    },
    {
      name: `idle-memory-${name}`,
      ...alone(idleMb),
      unit: 'MB',
      goal: 90,
      higherIsBetter: false,
      peakMb,
      what: `resident memory of ${name} at rest after its first request`,
    },
  ];
}

const bareServer = [
  '--eval',
  `require('node:http')
     .createServer((request, response) => response.end('OK'))
     .listen(process.env.PORT, '127.0.0.1')`,
];
