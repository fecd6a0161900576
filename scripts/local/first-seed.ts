import { saveNames } from '../../shared/catalog.ts';
import { openDatabase } from '../../shared/db.ts';
import { requireSetting, type Settings } from '../../shared/env.ts';
import { sampleEvents, sampleModels, sampleOrgs } from '../sample-events.ts';
import type { LocalService } from './service.ts';

export { sampleOrgs };

const days = 7;
const eventsPerHour = 40;
const batchSize = 1_000;

/** Gives an empty database a week of synthetic events, so that the first question has an answer. */
export async function seedIfEmpty(
  settings: Settings,
  service: LocalService,
): Promise<string | null> {
  const url = requireSetting(settings, 'DATABASE_URL', 'postgres://user:password@host/database');
  const database = openDatabase({ url, connectionsMax: 1, patienceMs: 5_000 });
  try {
    const [found] = await database.query<{ used: boolean }>(
      'select exists (select from analytics.ingestion_batches) as used',
    );
    if (found?.used !== false) return null;
    await saveNames(database, {
      orgs: sampleOrgs.map((id, index) => ({ id, name: ['Acme', 'Globex'][index] ?? id })),
      models: sampleModels.map(({ modelId: id, name }) => ({ id, name })),
    });
  } finally {
    await database.close();
  }
  const events = sampleEvents({ untilMs: Date.now(), hours: days * 24, perHour: eventsPerHour });
  for (let start = 0; start < events.length; start += batchSize) {
    await service.sink.accept(events.slice(start, start + batchSize));
  }
  await service.refresh();
  return `seeded ${events.length} synthetic events of ${days} days, ${sampleOrgs.length} orgs, ${sampleModels.length} models`;
}
