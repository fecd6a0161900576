import { openS3Store } from '../../shared/platform/object-store/s3-store.ts';
import type { EnvOf } from './service-env.ts';

/** Makes the bucket; one that is there already is as good. */
export async function ensureBucket(env: EnvOf<'s3'>): Promise<void> {
  const store = openS3Store({ ...env, S3_SSE: undefined });
  try {
    await store.ensure();
  } finally {
    store.close();
  }
}
