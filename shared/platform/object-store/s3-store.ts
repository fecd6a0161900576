import { Readable } from 'node:stream';
import type { ListMultipartUploadsCommandOutput, S3Client } from '@aws-sdk/client-s3';
import type { Settings } from '../env.ts';
import { serverAddress } from '../telemetry/server-address.ts';
import { inClientSpan } from '../telemetry/tracing.ts';
import { attachment } from './attachment.ts';
import { checkMetadata, storeBody } from './body.ts';
import type { ObjectStore } from './object-store.ts';
import { proveStore } from './proof.ts';
import { type S3Place, s3Failure, s3StoreError } from './s3-fault.ts';
import { StoreError } from './store-error.ts';

export type S3Settings = Pick<
  Settings,
  'S3_ENDPOINT' | 'S3_ACCESS_KEY' | 'S3_SECRET_KEY' | 'S3_BUCKET' | 'S3_REGION' | 'S3_SSE'
>;

const mebibyte = 1_048_576;
const readBytesMax = mebibyte;
const partBytes = 8 * mebibyte;
/** For what an HTTP request waits for: the contract wants its 503 within a second. */
const quickMs = 700;
/** What Signature Version 4 allows. */
const signedSecondsMax = 7 * 86_400;

/** A bucket of an S3-compatible store. Every request is bounded by `requestMs`, in 3 attempts. */
export function openS3Store(settings: S3Settings, { requestMs = 30_000 } = {}): ObjectStore {
  const { S3_BUCKET: Bucket, S3_SSE } = settings;
  const place: S3Place = { endpoint: settings.S3_ENDPOINT ?? '', bucket: Bucket, sse: S3_SSE };
  let opening: ReturnType<typeof openClients> | undefined;
  const ready = () => {
    opening ??= openClients(settings, requestMs);
    return opening;
  };
  type Clients = Awaited<ReturnType<typeof openClients>>;

  /** By the conventions for AWS SDKs. */
  function inS3Span<T>(operation: string, work: () => Promise<T>): Promise<T> {
    const attributes = {
      'rpc.system.name': 'aws-api',
      'rpc.method': `S3/${operation}`,
      'aws.s3.bucket': Bucket,
      ...serverAddress(place.endpoint),
    };
    return inClientSpan(() => ({ name: `S3.${operation}`, attributes }), work);
  }

  function patiently<T>(operation: string, work: (s3: Clients) => Promise<T>): Promise<T> {
    return inS3Span(operation, async () => {
      const s3 = await ready();
      return work(s3).catch((error: unknown) => {
        throw s3StoreError(error, operation, place);
      });
    });
  }
  function quickly<T>(
    operation: string,
    work: (s3: Clients, limit: { abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    return patiently(operation, (s3) => work(s3, { abortSignal: AbortSignal.timeout(quickMs) }));
  }

  /** Not HeadBucket, which needs the same right but cannot say what is wrong, having no body. */
  async function look({ sdk }: Clients, client: S3Client, limit = {}): Promise<void> {
    const found = await client.send(new sdk.ListObjectsV2Command({ Bucket, MaxKeys: 1 }), limit);
    // Some other web server's page reads as a listing without anything in it.
    if (found.Name === undefined) throw new Error('the answer is not that of an S3 server');
  }

  async function headOf({ sdk }: Clients, client: S3Client, key: string, limit = {}) {
    const found = await client.send(new sdk.HeadObjectCommand({ Bucket, Key: key }), limit);
    const { ContentLength: bytes = 0, Metadata: metadata = {} } = found;
    return { bytes, etag: bareEtag(found.ETag), metadata };
  }

  const store: ObjectStore = {
    name: 's3',

    check: () => quickly('ListObjectsV2', (s3, limit) => look(s3, s3.quick, limit)),

    put: async (key, body, { contentType, metadata, signal }) => {
      checkMetadata(metadata);
      const source = storeBody(body, signal);
      const [s3, { Upload }] = await Promise.all([ready(), import('@aws-sdk/lib-storage')]);
      const upload = new Upload({
        client: s3.uploader(signal),
        params: {
          Bucket,
          Key: key,
          Body: Readable.from(source.chunks, { highWaterMark: 1 }),
          ContentType: contentType,
          Metadata: metadata,
          ...(S3_SSE === undefined ? {} : { ServerSideEncryption: S3_SSE }),
        },
        partSize: partBytes,
        queueSize: 2,
        leavePartsOnError: false,
        // No abortController: with one, done() rejects before the upload is ended on the server.
      });
      try {
        const { ETag } = await inS3Span('PutObject', () => upload.done());
        // Ceph 16 leaves the ETag of what was put together from parts out of its answer.
        const etag = ETag || (await headOf(s3, s3.patient, key)).etag;
        return { etag: bareEtag(etag), bytes: source.bytes };
      } catch (error) {
        if (source.failure !== undefined) throw source.failure.reason;
        signal?.throwIfAborted();
        throw s3StoreError(error, 'PutObject', place);
      }
    },

    head: (key) =>
      quickly('HeadObject', async (s3, limit) => {
        try {
          return await headOf(s3, s3.quick, key, limit);
        } catch (error) {
          const { status } = s3Failure(error);
          if (status !== 403 && status !== 404) throw error;
          // No body, no reason: the same again of the bucket tells it where the reason is there.
          await look(s3, s3.quick, limit).catch((reason: unknown) => {
            if (s3StoreError(reason, 'ListObjectsV2', place).fault !== 'permission') throw reason;
          });
          if (status === 404) return null;
          throw error;
        }
      }),

    read: (key) =>
      quickly('GetObject', async ({ sdk, quick }, limit) => {
        const found = await quick
          .send(new sdk.GetObjectCommand({ Bucket, Key: key }), limit)
          .catch((error: unknown) => {
            if (s3Failure(error).name === 'NoSuchKey') return null;
            throw error;
          });
        if (found === null) return null;
        if ((found.ContentLength ?? 0) > readBytesMax) {
          if (found.Body instanceof Readable) found.Body.destroy();
          throw new StoreError(
            'other',
            `${key} has ${found.ContentLength} bytes: no more than ${readBytesMax} are read at once`,
          );
        }
        return Buffer.from((await found.Body?.transformToByteArray()) ?? []);
      }),

    // One by one: DeleteObjects insists on a checksum that not every S3 server knows.
    delete: (keys) =>
      patiently('DeleteObject', async ({ sdk, patient }) => {
        for (const key of keys)
          await patient.send(new sdk.DeleteObjectCommand({ Bucket, Key: key }));
      }),

    abortUploads: (prefix, begunBefore) =>
      patiently('AbortMultipartUpload', async ({ sdk, patient }) => {
        let aborted = 0;
        let page: ListMultipartUploadsCommandOutput | undefined;
        do {
          page = await patient.send(
            new sdk.ListMultipartUploadsCommand({
              Bucket,
              Prefix: prefix,
              KeyMarker: page?.NextKeyMarker,
              UploadIdMarker: page?.NextUploadIdMarker,
            }),
          );
          for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
            if (Initiated === undefined || Initiated >= begunBefore) continue;
            const upload = { Bucket, Key, UploadId };
            await patient.send(new sdk.AbortMultipartUploadCommand(upload)).catch((error) => {
              // Somebody else was here first.
              if (s3Failure(error).name !== 'NoSuchUpload') throw error;
            });
            aborted += 1;
          }
        } while (page.IsTruncated === true && page.NextKeyMarker !== undefined);
        return aborted;
      }),

    signedUrl: async (key, { filename, contentType, ttlMs }) => {
      const [{ sdk, patient }, { getSignedUrl }] = await Promise.all([
        ready(),
        import('@aws-sdk/s3-request-presigner'),
      ]);
      const command = new sdk.GetObjectCommand({
        Bucket,
        Key: key,
        ResponseContentDisposition: attachment(filename),
        ResponseContentType: contentType,
      });
      const expiresIn = Math.min(Math.max(Math.floor(ttlMs / 1_000), 1), signedSecondsMax);
      return getSignedUrl(patient, command, { expiresIn });
    },

    prove: () => proveStore(store),

    ensure: async () => {
      try {
        await patiently('ListObjectsV2', (s3) => look(s3, s3.patient));
        return false;
      } catch (error) {
        if (!(error instanceof StoreError && error.fault === 'missing_bucket')) throw error;
      }
      return patiently('CreateBucket', async ({ sdk, patient }) => {
        try {
          await patient.send(new sdk.CreateBucketCommand({ Bucket }));
          return true;
        } catch (error) {
          if (s3Failure(error).name === 'BucketAlreadyOwnedByYou') return false;
          throw error;
        }
      });
    },

    close: () => {
      opening?.then(({ patient }) => patient.destroy()).catch(() => {});
    },
  };
  return store;
}

/** Loads the SDK. One set of connections serves all clients. */
async function openClients(settings: S3Settings, requestMs: number) {
  // The SDK announces at each start that it will need Node 22 in some version yet to come.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  const sdk = await import('@aws-sdk/client-s3');
  const common = {
    endpoint: settings.S3_ENDPOINT ?? '',
    region: settings.S3_REGION,
    forcePathStyle: true,
    credentials: {
      accessKeyId: settings.S3_ACCESS_KEY ?? '',
      secretAccessKey: settings.S3_SECRET_KEY ?? '',
    },
    // Linode Object Storage (Ceph) does not know the SDK's default checksums.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  } as const;
  const patient = new sdk.S3Client({
    ...common,
    maxAttempts: 3,
    requestHandler: {
      connectionTimeout: Math.min(3_000, requestMs),
      requestTimeout: requestMs,
      // Without it the SDK only writes a warning to the console.
      throwOnRequestTimeout: true,
      socketTimeout: requestMs,
    },
  });
  const { requestHandler } = patient.config;
  const quick = new sdk.S3Client({ ...common, maxAttempts: 1, requestHandler });

  /**
   * A client whose sending of parts ends with the signal. All else goes through: cut off, nobody
   * would know whether the upload has begun and by which id to end it, or whether it is complete.
   */
  function uploader(signal: AbortSignal | undefined): S3Client {
    const handle: typeof requestHandler.handle = (request, options) =>
      requestHandler.handle(request, {
        ...options,
        ...(request.query.partNumber !== undefined && signal ? { abortSignal: signal } : {}),
        // The end of a failed upload is a courtesy that need not hold the failure up for long.
        ...(request.method === 'DELETE' ? { requestTimeout: Math.min(requestMs, 5_000) } : {}),
      });
    return new sdk.S3Client({ ...common, maxAttempts: 3, requestHandler: { handle } });
  }
  return { sdk, patient, quick, uploader };
}

function bareEtag(etag: string | undefined): string {
  if (etag === undefined) throw new Error('the answer has no ETag');
  return etag.replaceAll('"', '');
}
