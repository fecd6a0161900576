import * as z from 'zod';
import { messageOf } from '../errors.ts';
import { StoreError, type StoreFault } from './store-error.ts';

/** Which store an error is about. */
export interface S3Place {
  endpoint: string;
  bucket: string;
  sse: string | undefined;
}

/** What an error of the SDK, or of Node below it, has to tell. */
interface S3Failure {
  /** The store's error code. The answer to a HEAD has no room for one. */
  name: string;
  /** 0 when there was no answer. */
  status: number;
  /** Of the network or of TLS: ECONNREFUSED, CERT_HAS_EXPIRED … */
  code: string | undefined;
}

const failure = z.object({
  name: z.string().catch('Unknown'),
  code: z.string().optional().catch(undefined),
  $metadata: z.object({ httpStatusCode: z.number().optional() }).optional(),
});

export function s3Failure(error: unknown): S3Failure {
  const { name = 'Unknown', code, $metadata } = failure.safeParse(error).data ?? {};
  return { name, status: $metadata?.httpStatusCode ?? 0, code };
}

/** Says what went wrong with an operation and which setting or right would help. */
export function s3StoreError(error: unknown, operation: string, place: S3Place): StoreError {
  if (error instanceof StoreError) return error;
  const found = s3Failure(error);
  const fault = faultOf(error, found);
  // Without the user and password that a URL may carry.
  const endpoint = URL.canParse(place.endpoint) ? new URL(place.endpoint).origin : place.endpoint;
  const store = `the store at ${endpoint}`;
  const what = `${operation} in the bucket ${place.bucket}`;
  const why = reason(error, found);
  const message = {
    missing_bucket: `the bucket ${place.bucket} does not exist at ${endpoint}: create it (scripts/bootstrap) or set S3_BUCKET`,
    credentials: `${store} refuses the credentials (${why}): set S3_ACCESS_KEY and S3_SECRET_KEY`,
    permission: `${store} does not allow ${what} (${why}): give this right to the owner of S3_ACCESS_KEY, or set S3_ACCESS_KEY and S3_SECRET_KEY of somebody who has it`,
    unreachable: `${store} cannot be reached for ${what} (${why}): check S3_ENDPOINT and the network`,
    other: `${store} failed at ${what} (${why})${hint(found, place)}`,
  }[fault];
  return new StoreError(fault, message, error);
}

function faultOf(error: unknown, { name, status, code }: S3Failure): StoreFault {
  if (name === 'NoSuchBucket') return 'missing_bucket';
  if (name === 'InvalidAccessKeyId' || name === 'SignatureDoesNotMatch') return 'credentials';
  if (status === 403) return 'permission';
  if (status >= 500 && name !== 'NotImplemented') return 'unreachable';
  // A TypeError with a code is about what we asked Node to send.
  const isOfNetwork = code !== undefined && !(error instanceof TypeError);
  return isOfNetwork || isTimeout(name) ? 'unreachable' : 'other';
}

function isTimeout(name: string): boolean {
  return name === 'AbortError' || name === 'TimeoutError';
}

/** The store's own code where there is one, else the message: many a store's have only the code. */
function reason(error: unknown, { name, status, code }: S3Failure): string {
  if (isTimeout(name)) return 'no answer in time';
  if (status > 0 && name !== 'Error') return name === 'Unknown' ? `status ${status}` : name;
  const [line = ''] = messageOf(error).trim().split('\n');
  return line === '' ? (code ?? name) : line;
}

function hint({ name, status }: S3Failure, { sse }: S3Place): string {
  if (/Location|Region|Redirect|AuthorizationHeader/.test(name)) return ': check S3_REGION';
  if (sse !== undefined && /^InvalidRequest$|NotImplemented|Encryption|KMS/i.test(name)) {
    return `: perhaps it cannot encrypt by S3_SSE=${sse}`;
  }
  const isSpeechless = ['Error', 'NotFound', 'Unknown'].includes(name) && status > 0;
  return isSpeechless ? ': is there an S3 server at S3_ENDPOINT?' : '';
}
