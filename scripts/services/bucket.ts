import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { EnvOf } from './service-env.ts';

/** Makes the bucket; one that is there already is as good. */
export async function ensureBucket(env: EnvOf<'s3'>): Promise<void> {
  // The SDK announces at each start that it will need Node 22 in some version yet to come.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  const client = new S3Client({
    endpoint: env.S3_ENDPOINT,
    region: env.S3_REGION,
    credentials: { accessKeyId: env.S3_ACCESS_KEY, secretAccessKey: env.S3_SECRET_KEY },
    forcePathStyle: true,
    // Newer checksums are on by default in the SDK and unknown to many S3 servers.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: 1,
  });
  try {
    await client.send(new CreateBucketCommand({ Bucket: env.S3_BUCKET }), {
      abortSignal: AbortSignal.timeout(10_000),
    });
  } catch (error) {
    const known = ['BucketAlreadyOwnedByYou', 'BucketAlreadyExists'];
    if (!known.includes((error as Error).name)) throw error;
  } finally {
    client.destroy();
  }
}
