import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { hostedDatabaseUrl } from './hosted.ts';
import { services } from './services.ts';
import { databaseUrl, withAdmin } from './template-database.ts';

export interface TestDatabase {
  url: string;
  drop(): Promise<void>;
}

/** A migrated database of one's own: a clone of the template, some 50 ms. One per test file. */
export function createDatabase(): Promise<TestDatabase> {
  return make(`template ${inject('templateDatabase')}`);
}

/** A database without our schema, for tests of the migrations themselves. */
export function emptyDatabase(): Promise<TestDatabase> {
  // Not template1, which on a server we were given may hold anything.
  return make('template template0');
}

async function make(template: string): Promise<TestDatabase> {
  const { DATABASE_URL: server } = services();
  const name = `test_${randomBytes(8).toString('hex')}`;
  await withAdmin(server, (admin) => admin.query(`create database ${name} ${template}`));
  return {
    url: hostedDatabaseUrl(databaseUrl(server, name)),
    drop: () =>
      // `force`, so that a client forgotten by a failed test does not fail the next one too.
      withAdmin(server, async (admin) => {
        await admin.query(`drop database if exists ${name} with (force)`);
      }),
  };
}
