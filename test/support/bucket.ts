import { DeleteBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { Settings } from '../../shared/platform/env.ts';

/** Removes an empty bucket. */
export async function deleteBucket(settings: Settings): Promise<void> {
  const { S3_ENDPOINT, S3_REGION, S3_ACCESS_KEY = '', S3_SECRET_KEY = '' } = settings;
  const client = new S3Client({
    endpoint: S3_ENDPOINT ?? '',
    region: S3_REGION,
    credentials: { accessKeyId: S3_ACCESS_KEY, secretAccessKey: S3_SECRET_KEY },
    forcePathStyle: true,
  });
  await client.send(new DeleteBucketCommand({ Bucket: settings.S3_BUCKET }));
  client.destroy();
}
