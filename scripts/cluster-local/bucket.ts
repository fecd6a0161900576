import type { EnvOf } from '../services/service-env.ts';

/** Removes a bucket with all that is in it, unfinished uploads too; one that is not there is fine. */
export async function deleteBucket(env: EnvOf<'s3'>): Promise<void> {
  const sdk = await import('@aws-sdk/client-s3');
  const Bucket = env.S3_BUCKET;
  const client = new sdk.S3Client({
    endpoint: env.S3_ENDPOINT,
    region: env.S3_REGION,
    credentials: { accessKeyId: env.S3_ACCESS_KEY, secretAccessKey: env.S3_SECRET_KEY },
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  try {
    const { Uploads = [] } = await client.send(new sdk.ListMultipartUploadsCommand({ Bucket }));
    for (const { Key, UploadId } of Uploads) {
      await client.send(new sdk.AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    }
    for (;;) {
      const { Contents = [] } = await client.send(new sdk.ListObjectsV2Command({ Bucket }));
      if (Contents.length === 0) break;
      for (const { Key } of Contents) {
        await client.send(new sdk.DeleteObjectCommand({ Bucket, Key }));
      }
    }
    await client.send(new sdk.DeleteBucketCommand({ Bucket }));
  } catch (error) {
    if (!(error instanceof Error && error.name === 'NoSuchBucket')) throw error;
  } finally {
    client.destroy();
  }
}
