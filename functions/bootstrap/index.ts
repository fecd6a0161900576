import { join } from 'node:path';
import { readSettings, refuseKnativeService, requireSetting } from '../../shared/platform/env.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { preparations, visit } from '../../shared/preparation/preparation.ts';

/** Not a server like the other functions: a Job, which does its work once and ends. */
async function bootstrap(): Promise<void> {
  const settings = readSettings(process.env, { knowsActors: false });
  refuseKnativeService(
    settings,
    'bootstrap',
    'it does its work once and ends, and takes no request',
  );
  requireSetting(settings, 'DATABASE_URL', 'postgres://user:password@host/database');
  requireSetting(settings, 'RABBITMQ_URL', 'amqp://user:password@host:5672');
  // The build puts the migrations beside its bundle, which is CommonJS.
  const servers = preparations(join(__dirname, 'migrations'));
  const faults = await visit('prepare', servers, settings, console.log);
  if (faults > 0) process.exitCode = 1;
}

bootstrap().catch((error: unknown) => {
  process.stderr.write(`bootstrap: ${messageOf(error)}\n`);
  process.exitCode = 1;
});
