import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import type { Settings } from '../../shared/platform/env.ts';
import { messageOf } from '../../shared/platform/errors.ts';
import { UnavailableError } from '../cli/failure.ts';
import {
  apiCounters,
  type Baseline,
  type Counted,
  countSince,
  databaseCounters,
} from '../publish/counters.ts';
import { sendAll } from '../publish/send.ts';
import { openTarget, type TargetOptions } from '../publish/target.ts';
import { planSeed, type SeedPlan } from './plan.ts';
import { triggerRefresh } from './refresh.ts';

export interface SeedOptions extends TargetOptions {
  /** Different valid events; repeats and invalid ones come on top. */
  events: number;
  /** How long to wait for the service to count one more event. */
  waitMs: number;
}

export interface SeedReport {
  target: string;
  plan: Omit<SeedPlan, 'outgoing'>;
  /** Refused in the API's own answer; those never reach the counters. */
  refused: number;
  /** Of the sent, those whose batch had to be sent again after a fault. */
  resent: number;
  counted: Counted;
  refreshed: string;
}

/**
 * Publishes synthetic events, waits until the service has counted them, and has them folded.
 *
 * @throws Error when the target is not there, when nothing can count, or when nothing can refresh.
 */
export async function seed(
  options: SeedOptions,
  settings: Settings,
  nowMs: number,
): Promise<SeedReport> {
  const { outgoing, ...plan } = planSeed(options.events, nowMs);
  const database = openOwnDatabase(settings);
  try {
    const target = await openTarget(options, settings);
    try {
      const baseline = await openBaseline(options.url, database);
      const { sent, refused, repeated: resent } = await sendAll(target, outgoing);
      const counted = await countSince(baseline, { sent, repeated: resent }, options.waitMs);
      const refreshed = await triggerRefresh(options.url, database, settings);
      return { target: target.name, plan, refused, resent, counted, refreshed };
    } finally {
      await target.close();
    }
  } finally {
    await database?.close();
  }
}

function openOwnDatabase(settings: Settings): Database | null {
  const { DATABASE_URL: url, DATABASE_DRIVER: driver } = settings;
  if (url === undefined) return null;
  return openDatabase({
    url,
    driver,
    name: 'seed',
    connectionsMax: 2,
    patienceMs: 5_000,
    statementTimeoutMs: 120_000,
  });
}

async function openBaseline(url: string, database: Database | null): Promise<Baseline> {
  const api = apiCounters(url);
  try {
    return { source: api, before: await api.read() };
  } catch (error) {
    if (database === null) {
      throw new UnavailableError(
        `nothing can count: ${messageOf(error)}, and DATABASE_URL is not set`,
      );
    }
  }
  const source = databaseCounters(database);
  return { source, before: await source.read() };
}
