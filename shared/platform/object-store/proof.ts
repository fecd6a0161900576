import { randomBytes, randomUUID } from 'node:crypto';
import { messageOf } from '../errors.ts';
import type { ObjectStore } from './object-store.ts';
import { StoreError } from './store-error.ts';

/**
 * Puts, reads and deletes a small object, each as far as the ones before allow.
 *
 * @throws StoreError that names all that failed.
 */
export async function proveStore(
  store: Pick<ObjectStore, 'put' | 'read' | 'delete'>,
): Promise<void> {
  const key = `analytics/exports/.check/${randomUUID()}`;
  const content = randomBytes(32);
  await store.put(key, content, { contentType: 'application/octet-stream', metadata: {} });
  const tried = await Promise.allSettled([expectContent(store, key, content)]);
  tried.push(...(await Promise.allSettled([store.delete([key])])));
  const reasons: unknown[] = tried.flatMap((one) =>
    one.status === 'rejected' ? [one.reason] : [],
  );
  const [first] = reasons;
  if (reasons.length === 0) return;
  if (reasons.length === 1) throw first;
  const fault = first instanceof StoreError ? first.fault : 'other';
  throw new StoreError(fault, reasons.map(messageOf).join('; '), first);
}

async function expectContent(
  store: Pick<ObjectStore, 'read'>,
  key: string,
  content: Buffer,
): Promise<void> {
  const found = await store.read(key);
  if (found === null || !found.equals(content)) {
    throw new StoreError('other', `the store does not give back what was put as ${key}`);
  }
}
