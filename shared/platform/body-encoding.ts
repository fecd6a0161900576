import { gunzipSync } from 'node:zlib';
import { messageOf } from './errors.ts';

/** What a sender may have done to a body, by the names of RFC 9110, 8.4.1. */
export const bodyEncodings = ['gzip', 'identity'] as const;
export type BodyEncoding = (typeof bodyEncodings)[number];

/** A body that cannot be unpacked, or would be too large. */
export class PackedBodyError extends Error {
  override name = 'PackedBodyError';
  readonly isTooLarge: boolean;

  constructor(message: string, isTooLarge: boolean) {
    super(message);
    this.isTooLarge = isTooLarge;
  }
}

/** The encoding that a header names, in any case; undefined for one that is not known here. */
export function bodyEncodingOf(name: string | undefined): BodyEncoding | undefined {
  const encoding = (name ?? '').trim().toLowerCase();
  if (encoding === '' || encoding === 'identity') return 'identity';
  return encoding === 'gzip' || encoding === 'x-gzip' ? 'gzip' : undefined;
}

/**
 * A body as it was before it was encoded. A few bytes of gzip may stand for gigabytes: it stops at
 * `maxBytes`. At once rather than in a thread, so that one body at a time is unpacked (8 MiB take
 * some 20 ms): a hundred small ones that come together would else be held unpacked together.
 *
 * @throws PackedBodyError
 */
export function unpackBody(bytes: Buffer, encoding: BodyEncoding, maxBytes: number): Buffer {
  if (encoding === 'identity') return bytes;
  try {
    return gunzipSync(bytes, { maxOutputLength: maxBytes });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') {
      throw new PackedBodyError(`has more than ${maxBytes} bytes once it is unpacked`, true);
    }
    throw new PackedBodyError(`is no gzip: ${messageOf(error)}`, false);
  }
}
