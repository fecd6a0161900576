import type { TestProject } from 'vitest/node';
import {
  ensureChromium,
  ensurePgBouncer,
  ensurePrometheus,
} from '../../scripts/services/debian.ts';
import { runCommand } from '../../scripts/services/run-command.ts';
import type { ServiceEnv } from '../../scripts/services/service-env.ts';
import { startServices } from '../../scripts/services/start.ts';
import { type ApiLogin, dropApiLogin, makeApiLogin } from './api-login.ts';
import { isThere } from './native-timescale.ts';
import { dropTemplate, makeTemplate } from './template-database.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    services: ServiceEnv;
    templateDatabase: string;
    apiLogin: ApiLogin;
    /** Whether `prometheus` and `promtool` are on this machine. */
    hasPrometheus: boolean;
    /** Whether `kubectl` is, which renders the manifests. */
    hasKubectl: boolean;
    /** Whether `pgbouncer` is. */
    hasPgBouncer: boolean;
    /** Whether `chromium` is. */
    hasChromium: boolean;
  }
}

interface Servers {
  env: ServiceEnv;
  template: string;
  apiLogin: ApiLogin;
  hasPrometheus: boolean;
  hasKubectl: boolean;
  hasPgBouncer: boolean;
  hasChromium: boolean;
  stop(): Promise<void>;
}

interface Shared {
  users: number;
  ready: Promise<Servers>;
}

// Vitest loads this file once for each project. The servers are shared by all of them, so the one
// place where they can meet is the process itself.
const KEY = Symbol.for('analytics-service.test-services');
const registry = globalThis as unknown as { [KEY]?: Shared };

/** Starts the servers before the first test file and stops them after the last. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  registry[KEY] ??= { users: 0, ready: start() };
  const shared = registry[KEY];
  shared.users++;
  const { env, template, apiLogin, stop, ...has } = await shared.ready;
  project.provide('services', env);
  project.provide('templateDatabase', template);
  project.provide('apiLogin', apiLogin);
  project.provide('hasPrometheus', has.hasPrometheus);
  project.provide('hasKubectl', has.hasKubectl);
  project.provide('hasPgBouncer', has.hasPgBouncer);
  project.provide('hasChromium', has.hasChromium);
  return async () => {
    shared.users--;
    if (shared.users > 0) return;
    delete registry[KEY];
    await stop();
  };
}

async function start(): Promise<Servers> {
  const log = (line: string) => console.log(`[services] ${line}`);
  // Here, since two test files that install at the same time would be in each other's way.
  const hasPrometheus = await ensurePrometheus(log);
  const hasKubectl = await findKubectl(log);
  const hasPgBouncer = await ensurePgBouncer(log);
  const hasChromium = await ensureChromium(log);
  if (!isThere.ownServer) {
    log('no native TimescaleDB is here to start: what only that shows is left out');
  }
  const services = await startServices({ log });
  const url = services.env.DATABASE_URL;
  try {
    const { name: template, made: apiLogin } = await makeTemplate(url, makeApiLogin);
    return {
      env: services.env,
      template,
      apiLogin,
      hasPrometheus,
      hasKubectl,
      hasPgBouncer,
      hasChromium,
      async stop() {
        await dropTemplate(url, template)
          .then(() => dropApiLogin(url, apiLogin))
          .finally(() => services.stop());
      },
    };
  } catch (error) {
    await services.stop();
    throw error;
  }
}

/** Debian has no package of it, and no test is worth a download behind somebody's back. */
async function findKubectl(log: (line: string) => void): Promise<boolean> {
  try {
    await runCommand('kubectl', ['version', '--client'], { timeoutMs: 30_000 });
    return true;
  } catch {
    log('kubectl is not on this machine: the tests of rendered manifests are left out');
    return false;
  }
}
