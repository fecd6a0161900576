import { requireSetting } from '../../shared/platform/env.ts';
import { migrate } from '../../shared/preparation/migrate.ts';
import { say, sayJson } from '../cli/output.ts';
import { operatorSettings } from '../cli/settings.ts';

/** Brings the database up to date. */
export async function runMigrate({ json }: { json: boolean }): Promise<undefined> {
  const settings = operatorSettings();
  const url = requireSetting(settings, 'DATABASE_URL', 'postgres://user:password@host/database');
  const { applied, storage } = await migrate(url, { driver: settings.DATABASE_DRIVER });
  if (json) {
    sayJson({ applied, storage });
    return;
  }
  const did = applied.length === 0 ? 'already up to date' : `applied ${applied.join(', ')}`;
  say(`schema analytics: ${did}; events are kept in ${storage}`);
}
