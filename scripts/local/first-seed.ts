import { setTimeout as sleep } from 'node:timers/promises';
import type { EventSink } from '../../shared/events/event-sink.ts';
import type { UsageEvent } from '../../shared/events/usage-event.ts';
import { openDatabase } from '../../shared/platform/database/db.ts';
import { requireSetting, type Settings } from '../../shared/platform/env.ts';
import { ServiceError } from '../../shared/platform/errors.ts';
import { saveNames } from '../../shared/preparation/catalog.ts';
import { sampleEvents, sampleModels, sampleOrgs } from '../sample-events.ts';
import type { LocalService } from './service.ts';

const days = 7;
const eventsPerHour = 40;
const batchSize = 500;
const tries = 10;

/** Gives an empty database a week of synthetic events, so that the first question has an answer. */
export async function seedIfEmpty(
  settings: Settings,
  service: LocalService,
): Promise<string | null> {
  const url = requireSetting(settings, 'DATABASE_URL', 'postgres://user:password@host/database');
  const { DATABASE_DRIVER: driver } = settings;
  const database = openDatabase({ url, driver, connectionsMax: 1, patienceMs: 5_000 });
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
    await acceptPatiently(service.sink, events.slice(start, start + batchSize));
  }
  await service.refresh();
  return `seeded ${events.length} synthetic events of ${days} days, ${sampleOrgs.length} orgs, ${sampleModels.length} models`;
}

/** A request must be answered within a second; a seed may wait for a slow machine. */
async function acceptPatiently(sink: EventSink, events: readonly UsageEvent[]): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await sink.accept(events);
      return;
    } catch (error) {
      const isAway = error instanceof ServiceError && error.code === 'unavailable';
      if (!isAway || attempt === tries) throw error;
      await sleep(1_000);
    }
  }
}
