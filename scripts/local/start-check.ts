import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ComponentName,
  type Components,
  componentNames,
} from '../../functions/status/readiness.ts';
import { openDatabase } from '../../shared/platform/database/db.ts';
import type { Settings } from '../../shared/platform/env.ts';
import { messageOf } from '../../shared/platform/errors.ts';

const settingOf: Record<ComponentName, keyof Settings> = {
  database: 'DATABASE_URL',
  stream: 'RABBITMQ_URL',
  cache: 'REDIS_URL',
  objectStore: 'S3_ENDPOINT',
};
/** A server that was started together with us may need a moment. */
const tries = 4;
const waitMs = 500;

/**
 * Asks each server that a setting names, before anyone waits for an answer in vain.
 *
 * @throws Error with one line that names every setting whose server does not answer.
 */
export async function checkServers(components: Components): Promise<void> {
  const faults = await Promise.all(
    componentNames.map(async (name) => {
      const check = components[name];
      const fault = check === null ? null : await firstFault(check);
      return fault === null ? [] : [`${settingOf[name]}: ${fault}`];
    }),
  );
  const found = faults.flat();
  if (found.length > 0) throw new Error(found.join('; '));
}

async function firstFault(check: () => Promise<void>): Promise<string | null> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await check();
      return null;
    } catch (error) {
      if (attempt === tries) return messageOf(error);
      await sleep(waitMs);
    }
  }
}

/** @throws Error that says what to do when the database does not answer or has no schema of ours. */
export async function checkDatabase(
  url: string,
  driver: Settings['DATABASE_DRIVER'],
): Promise<void> {
  const database = openDatabase({ url, driver, connectionsMax: 1, patienceMs: 5_000 });
  try {
    const fault = await firstFault(async () => {
      await database.query('select 1');
    });
    if (fault !== null) throw new Error(`DATABASE_URL: ${fault}`);
    const [found] = await database.query<{ there: boolean }>(
      `select to_regclass('analytics.migrations') is not null as there`,
    );
    if (found?.there !== true) {
      throw new Error(
        'the database in DATABASE_URL has no schema analytics: run npm run migrate, ' +
          'or npm start -- --migrate',
      );
    }
  } finally {
    await database.close();
  }
}
