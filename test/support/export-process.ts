/**
 * An export worker in a process of its own, to be killed by tests. Bundled and run by `buildExportChildren`;
 * beside the service's settings it reads
 *
 * - EXPORT_LEASE_MS
 * - EXPORT_FAILPOINT: the step after which the process sends itself SIGKILL
 *
 * Each step is a line on standard output, written before the next one begins. It works when its
 * input says so, and exits when that ends.
 */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { openWorkerDatabase } from '../../functions/export-worker/database.ts';
import { createExportWorker } from '../../functions/export-worker/worker.ts';
import { readSettings, requireSetting } from '../../shared/platform/env.ts';
import type { ObjectStore } from '../../shared/platform/object-store/object-store.ts';
import { openS3Store } from '../../shared/platform/object-store/s3-store.ts';
import { createLogger } from '../../shared/platform/telemetry/telemetry.ts';
import type { ExportStep } from './export-child.ts';

const { EXPORT_LEASE_MS, EXPORT_FAILPOINT } = process.env;
const settings = readSettings(process.env);
const store = openS3Store(settings);
const worker = createExportWorker({
  database: openWorkerDatabase(requireSetting(settings, 'DATABASE_URL', 'postgres://'), settings),
  store: { ...store, put },
  settings,
  logger: createLogger(settings, 'export-worker'),
  ...(EXPORT_LEASE_MS === undefined ? {} : { leaseMs: Number(EXPORT_LEASE_MS) }),
});

function reach(step: ExportStep): void {
  writeSync(1, `${step}\n`);
  if (step === EXPORT_FAILPOINT) process.kill(process.pid, 'SIGKILL');
}

async function put(...[key, body, options]: Parameters<ObjectStore['put']>) {
  const isFile = !(body instanceof Uint8Array);
  reach(isFile ? 'begin' : 'file');
  const written = await store.put(key, isFile ? told(body) : body, options);
  if (!isFile) reach('manifest');
  return written;
}

async function* told(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of body) {
    yield chunk;
    bytes += chunk.length;
    reach(`bytes ${bytes}`);
  }
  reach('end');
}

const input = createInterface({ input: process.stdin });
reach('ready');
input.once('line', async () => {
  for (;;) {
    const { succeeded } = await worker.drain();
    if (succeeded > 0) reach('done');
    await sleep(10);
  }
});
// A test run that dies takes its workers along.
input.once('close', () => process.exit(1));
