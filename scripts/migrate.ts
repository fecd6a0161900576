import { readSettings, requireSetting } from '../shared/env.ts';
import { migrate } from '../shared/migrate.ts';
import { runScript } from './run-script.ts';

runScript(async () => {
  const settings = readSettings(process.env, { knowsActors: false });
  const url = requireSetting(settings, 'DATABASE_URL', 'postgres://user:password@host/database');
  const { applied, storage } = await migrate(url, { driver: settings.DATABASE_DRIVER });
  const did = applied.length === 0 ? 'already up to date' : `applied ${applied.join(', ')}`;
  console.log(`schema analytics: ${did}; events are kept in ${storage}`);
});
