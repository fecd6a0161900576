import { describe, expect, test } from 'vitest';
import { s3StoreError } from './s3-fault.ts';
import { StoreError, type StoreFault } from './store-error.ts';

const place = { endpoint: 'https://user:pass@s3.test/path', bucket: 'exports', sse: undefined };

/** As the SDK makes them of answers with a status. */
function answered(name: string, status: number): Error {
  const error = Object.assign(new Error('UnknownError'), {
    $metadata: { httpStatusCode: status },
  });
  error.name = name;
  return error;
}

/** As Node makes them without an answer. */
function failed(code: string, message = `${code} happened`): Error {
  return Object.assign(new Error(message), { code });
}

function named(name: string): Error {
  const error = new Error('of the SDK');
  error.name = name;
  return error;
}

describe('what is wrong with a store', () => {
  test.each<[Error, StoreFault, RegExp]>([
    [
      answered('NoSuchBucket', 404),
      'missing_bucket',
      /exports does not exist at https:\/\/s3\.test: create it/,
    ],
    [
      answered('InvalidAccessKeyId', 403),
      'credentials',
      /InvalidAccessKeyId.*set S3_ACCESS_KEY and S3_SECRET_KEY/,
    ],
    [answered('SignatureDoesNotMatch', 403), 'credentials', /SignatureDoesNotMatch/],
    [
      answered('AccessDenied', 403),
      'permission',
      /does not allow GetObject in the bucket exports \(AccessDenied\).*S3_ACCESS_KEY/,
    ],
    [answered('Unknown', 403), 'permission', /GetObject.*status 403/],
    [answered('InternalError', 500), 'unreachable', /InternalError.*S3_ENDPOINT/],
    [answered('SlowDown', 503), 'unreachable', /SlowDown/],
    [answered('Unknown', 502), 'unreachable', /status 502/],
    [
      failed('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:1'),
      'unreachable',
      /connect ECONNREFUSED 127.0.0.1:1/,
    ],
    [failed('ECONNRESET'), 'unreachable', /ECONNRESET/],
    [failed('ENOTFOUND'), 'unreachable', /ENOTFOUND/],
    [
      failed('CERT_HAS_EXPIRED', 'certificate has expired'),
      'unreachable',
      /certificate has expired/,
    ],
    [failed('EPROTO', 'write EPROTO 80B\n'), 'unreachable', /\(write EPROTO 80B\)/],
    [
      Object.assign(new AggregateError([failed('A'), failed('B')], ''), { code: 'ECONNREFUSED' }),
      'unreachable',
      /A happened; B happened/,
    ],
    [named('TimeoutError'), 'unreachable', /no answer in time/],
    [named('AbortError'), 'unreachable', /no answer in time/],
    [answered('NotImplemented', 501), 'other', /NotImplemented/],
    [answered('InvalidRequest', 400), 'other', /InvalidRequest\)$/],
    [
      answered('NoSuchUpload', 404),
      'other',
      /failed at GetObject in the bucket exports \(NoSuchUpload\)$/,
    ],
    [answered('InvalidLocationConstraint', 400), 'other', /check S3_REGION/],
    [answered('PermanentRedirect', 301), 'other', /check S3_REGION/],
    [answered('NotFound', 404), 'other', /is there an S3 server at S3_ENDPOINT/],
    [
      Object.assign(new TypeError('Invalid character'), { code: 'ERR_INVALID_CHAR' }),
      'other',
      /Invalid character/,
    ],
  ])('%s is %s', (error, fault, message) => {
    const found = s3StoreError(error, 'GetObject', place);
    expect(found).toMatchObject({ name: 'StoreError', fault, cause: error });
    expect(found.message).toMatch(message);
    expect(found.message).not.toMatch(/user|pass|UnknownError/);
  });

  test('an error that was told apart before stays as it is', () => {
    const error = new StoreError('permission', 'known');
    expect(s3StoreError(error, 'GetObject', place)).toBe(error);
  });

  test.each([
    'InvalidRequest',
    'NotImplemented',
    'InvalidEncryptionAlgorithmError',
    'KMS.NotFoundException',
  ])('%s makes one think of the encryption that was asked for', (name) => {
    const found = s3StoreError(answered(name, 400), 'PutObject', { ...place, sse: 'aws:kms' });
    expect(found.message).toMatch(/S3_SSE=aws:kms$/);
  });

  test.each(['text', undefined, null, 7])('even %s that was thrown', (thrown) => {
    expect(s3StoreError(thrown, 'GetObject', place).fault).toBe('other');
  });
});
