import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { withAdmin } from './template-database.ts';

export interface Login {
  user: string;
  password: string;
  drop(): Promise<void>;
}

/**
 * A login that is the server's own user in all but name, with a password that is hashed once.
 *
 * PostgreSQL has a password hashed 4,096 times, which Neon's driver does one asynchronous call
 * after the other: 0.2 s of a processor and up to a second for each connection, where a request
 * waits 0.8 s. Neon spares it that by taking the password itself.
 */
export async function createCheapLogin(serverUrl: string): Promise<Login> {
  const user = `hosted_${randomBytes(6).toString('hex')}`;
  const password = randomBytes(12).toString('hex');
  await withAdmin(serverUrl, async (admin) => {
    const owner = admin.escapeIdentifier(admin.user ?? '');
    await admin.query(
      `create role ${user} login password '${secretOf(password)}' in role ${owner}`,
    );
    // What it makes belongs to the server's user, so nothing stands in the way of dropping it.
    await admin.query(`alter role ${user} set role = ${owner}`);
  });
  return {
    user,
    password,
    drop: () =>
      withAdmin(serverUrl, async (admin) => {
        await admin.query(`drop role if exists ${user}`);
      }),
  };
}

/** A password as PostgreSQL keeps it (RFC 5802), with one iteration. */
export function secretOf(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, 1, 32, 'sha256');
  const hmac = (text: string) => createHmac('sha256', salted).update(text).digest();
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64');
  const serverKey = hmac('Server Key').toString('base64');
  return `SCRAM-SHA-256$1:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}
