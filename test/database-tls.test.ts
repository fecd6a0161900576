import { chown } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { embeddedBinDir } from '../scripts/services/embedded-postgres.ts';
import { freePort } from '../scripts/services/free-port.ts';
import { runPostgres, throwawaySettings } from '../scripts/services/postgres.ts';
import { runCommand } from '../scripts/services/run-command.ts';
import { createSupervisor } from '../scripts/services/supervisor.ts';
import { unprivilegedUser } from '../scripts/services/unprivileged-user.ts';
import { openDatabase } from '../shared/platform/database/db.ts';

const hasOpenssl = await runCommand('openssl', ['version'], { timeoutMs: 5_000 }).then(
  () => true,
  () => false,
);

describe.skipIf(!hasOpenssl)('a PostgreSQL whose certificate nobody has signed', () => {
  const supervisor = createSupervisor();
  let url: string;

  beforeAll(async () => {
    const { uid, gid } = unprivilegedUser();
    const folder = await supervisor.temporaryFolder('tls');
    const [key, certificate] = [join(folder, 'server.key'), join(folder, 'server.crt')];
    await runCommand(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2'],
        ...['-subj', '/CN=localhost', '-keyout', key, '-out', certificate],
      ],
      { timeoutMs: 30_000 },
    );
    if (uid !== undefined && gid !== undefined) {
      for (const file of [folder, key, certificate]) await chown(file, uid, gid);
    }
    const server = await runPostgres({
      binDir: embeddedBinDir(17),
      dataDir: join(folder, 'data'),
      port: await freePort(),
      settings: {
        ...throwawaySettings,
        ssl: 'on',
        ssl_cert_file: certificate,
        ssl_key_file: key,
      },
      supervisor,
    });
    url = server.url;
  });
  afterAll(() => supervisor.stop());

  async function isEncrypted(sslmode: string): Promise<boolean | undefined> {
    const database = openDatabase({ url: `${url}?sslmode=${sslmode}`, patienceMs: 5_000 });
    try {
      const [row] = await database.query<{ ssl: boolean }>(
        'select ssl from pg_stat_ssl where pid = pg_backend_pid()',
      );
      return row?.ssl;
    } finally {
      await database.close();
    }
  }

  test('is spoken to in TLS by sslmode=require, which asks for no more, as in libpq', async () => {
    expect(await isEncrypted('require')).toBe(true);
  });

  test('is refused by sslmode=verify-full', async () => {
    await expect(isEncrypted('verify-full')).rejects.toThrow(/self-signed certificate/);
  });
});
