import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteBucketPolicyCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { services } from './services.ts';

export interface Digest {
  sha256: string;
  bytes: number;
}

/** A bucket of a test's own, looked at past the module under test. */
export interface ExportBucket {
  name: string;
  /** Everything there is: the keys of objects, and `unfinished KEY` of multipart uploads. */
  left(): Promise<string[]>;
  /** An object's SHA-256 and size; its bytes are read to the end but not kept. */
  digest(key: string): Promise<Digest>;
  text(key: string): Promise<string>;
  /** As by a worker that died: an object under a key, and an upload of one part beside it. */
  litter(key: string): Promise<void>;
  /** Takes away a right of everybody's. */
  deny(action: string): Promise<void>;
  empty(): Promise<void>;
  remove(): Promise<void>;
}

export async function createExportBucket(): Promise<ExportBucket> {
  const { S3_ENDPOINT, S3_REGION, S3_ACCESS_KEY, S3_SECRET_KEY } = services();
  const Bucket = `test-${randomUUID()}`;
  const s3 = new S3Client({
    endpoint: S3_ENDPOINT,
    region: S3_REGION,
    credentials: { accessKeyId: S3_ACCESS_KEY, secretAccessKey: S3_SECRET_KEY },
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  await s3.send(new CreateBucketCommand({ Bucket }));

  const objects = async () => {
    const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
    return Contents.map(({ Key = '' }) => Key);
  };
  const uploads = async () => {
    const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket }));
    return Uploads.map(({ Key = '', UploadId = '' }) => ({ Key, UploadId }));
  };
  const read = async (Key: string) => {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
    if (!(Body instanceof Readable)) throw new Error('the object has no stream');
    return Body;
  };
  const empty = async () => {
    for (const Key of await objects()) await s3.send(new DeleteObjectCommand({ Bucket, Key }));
    for (const upload of await uploads()) {
      await s3.send(new AbortMultipartUploadCommand({ Bucket, ...upload }));
    }
  };

  return {
    name: Bucket,
    left: async () => [
      ...(await objects()),
      ...(await uploads()).map(({ Key }) => `unfinished ${Key}`),
    ],
    digest: async (key) => digestOf(await read(key)),
    text: async (key) => String(Buffer.concat(await (await read(key)).toArray())),
    litter: async (Key) => {
      await s3.send(new PutObjectCommand({ Bucket, Key, Body: 'of a dead worker' }));
      const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
      const part = { Bucket, Key, UploadId, PartNumber: 1, Body: 'half of a file' };
      await s3.send(new UploadPartCommand(part));
    },
    deny: async (Action) => {
      const Resource = [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`];
      const Statement = [{ Effect: 'Deny', Principal: '*', Action, Resource }];
      const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
      await s3.send(new PutBucketPolicyCommand({ Bucket, Policy }));
    },
    empty,
    remove: async () => {
      await s3.send(new DeleteBucketPolicyCommand({ Bucket }));
      await empty();
      await s3.send(new DeleteBucketCommand({ Bucket }));
      s3.destroy();
    },
  };
}

export async function digestOf(chunks: AsyncIterable<Uint8Array>): Promise<Digest> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { sha256: hash.digest('hex'), bytes };
}
