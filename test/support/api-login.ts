import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { prepareApiLogin } from '../../shared/preparation/api-login.ts';
import { secretOf } from './cheap-login.ts';
import { withAdmin } from './template-database.ts';

/** The user the API connects as in every database of a test run. */
export interface ApiLogin {
  user: string;
  password: string;
}

/** Makes it as `npm run bootstrap` does; `databaseUrl` is of a migrated database. */
export async function makeApiLogin(databaseUrl: string): Promise<ApiLogin> {
  const login = {
    user: `api_${randomBytes(6).toString('hex')}`,
    password: randomBytes(12).toString('hex'),
  };
  const settings = { DATABASE_URL: databaseUrl, DATABASE_DRIVER: 'pg' } as const;
  await prepareApiLogin(settings, loggedInAs(login, databaseUrl));
  // Hashed once, which is all that Neon's driver has the time for.
  await withAdmin(databaseUrl, (admin) =>
    admin.query(`alter role ${login.user} password '${secretOf(login.password)}'`),
  );
  return login;
}

export async function dropApiLogin(serverUrl: string, { user }: ApiLogin): Promise<void> {
  await withAdmin(serverUrl, (admin) => admin.query(`drop role if exists ${user}`));
}

/** The same database, as the API connects to it. */
export function apiDatabaseUrl(url: string): string {
  return loggedInAs(inject('apiLogin'), url);
}

function loggedInAs({ user, password }: ApiLogin, url: string): string {
  const address = new URL(url);
  address.username = user;
  address.password = password;
  return address.href;
}
