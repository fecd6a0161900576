import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Context } from 'hono';
import { takesEncoding } from './accept-encoding.ts';
import type { AppEnv } from './context.ts';

/** Shorter texts are hardly shorter packed. */
const packedMinBytes = 1_024;
const pack = promisify(gzip);

/**
 * Answers with a text that stays as it is while the process lives. All answers share its bytes, which
 * are packed once, when somebody first asks for that: packing a script of 1.7 MB for each of them took
 * 70 to 92 ms, and as many copies as readers were held.
 */
export function fixedText(
  text: string,
  { 'Content-Type': contentType, ...headers }: Readonly<Record<string, string>>,
): (context: Context<AppEnv>) => Promise<Response> {
  const plain = new TextEncoder().encode(text);
  const tag = createHash('sha256').update(plain).digest('hex').slice(0, 32);
  let packing: Promise<Uint8Array<ArrayBuffer>> | undefined;
  const packed = () => {
    packing ??= pack(plain).then((bytes) => Uint8Array.from(bytes));
    return packing;
  };
  return async (context) => {
    const isPacked =
      plain.length >= packedMinBytes &&
      takesEncoding(context.req.header('Accept-Encoding'), 'gzip');
    // Other bytes are another tag; either stands for the same text.
    const about = {
      ...headers,
      ETag: isPacked ? `"${tag}-gzip"` : `"${tag}"`,
      Vary: 'Accept-Encoding',
    };
    if (isKnown(context.req.header('If-None-Match'), tag)) return context.body(null, 304, about);
    if (contentType !== undefined) context.header('Content-Type', contentType);
    return isPacked
      ? context.body(await packed(), 200, { ...about, 'Content-Encoding': 'gzip' })
      : context.body(plain, 200, about);
  };
}

/** RFC 9110, 13.1.2: tags are compared weakly. */
function isKnown(given: string | undefined, tag: string): boolean {
  if (given === undefined) return false;
  return given
    .split(',')
    .map((item) => item.trim().replace(/^W\//, ''))
    .some((item) => item === '*' || item === `"${tag}"` || item === `"${tag}-gzip"`);
}
