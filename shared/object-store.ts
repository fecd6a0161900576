import { access, constants, mkdir } from 'node:fs/promises';
import type { S3Client } from '@aws-sdk/client-s3';
import type { Settings } from './env.ts';

/** Where exports are kept: a bucket of an S3-compatible store, or a folder on this machine. */
export interface ObjectStore {
  readonly name: 's3' | 'folder';
  /** @throws Error when the bucket or folder cannot be reached or written. */
  check(): Promise<void>;
  close(): void;
}

type ObjectStoreSettings = Pick<
  Settings,
  'S3_ENDPOINT' | 'S3_ACCESS_KEY' | 'S3_SECRET_KEY' | 'S3_BUCKET' | 'S3_REGION'
>;

/** Opens the store that the settings name; the SDK loads on first use. Null when there is none. */
export function openObjectStore(
  settings: ObjectStoreSettings,
  folder?: string,
): ObjectStore | null {
  if (settings.S3_ENDPOINT !== undefined) return s3Store(settings);
  return folder === undefined ? null : folderStore(folder);
}

function s3Store(settings: ObjectStoreSettings): ObjectStore {
  let client: S3Client | undefined;
  return {
    name: 's3',
    check: async () => {
      const { HeadBucketCommand, S3Client: Client } = await import('@aws-sdk/client-s3');
      client ??= new Client({
        endpoint: settings.S3_ENDPOINT ?? '',
        region: settings.S3_REGION,
        forcePathStyle: true,
        credentials: {
          accessKeyId: settings.S3_ACCESS_KEY ?? '',
          secretAccessKey: settings.S3_SECRET_KEY ?? '',
        },
        maxAttempts: 1,
        // Linode Object Storage (Ceph) does not know the SDK's default checksums.
        requestChecksumCalculation: 'WHEN_REQUIRED',
        responseChecksumValidation: 'WHEN_REQUIRED',
      });
      await client.send(new HeadBucketCommand({ Bucket: settings.S3_BUCKET }), {
        abortSignal: AbortSignal.timeout(700),
      });
    },
    close: () => client?.destroy(),
  };
}

function folderStore(folder: string): ObjectStore {
  return {
    name: 'folder',
    check: async () => {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await access(folder, constants.W_OK);
    },
    close: () => {},
  };
}
