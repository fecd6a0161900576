import type { IncomingMessage } from 'node:http';
import type { Context } from 'hono';
import {
  bodyEncodingOf,
  bodyEncodings,
  PackedBodyError,
  unpackBody,
} from '../platform/body-encoding.ts';
import { ServiceError } from '../platform/errors.ts';
import type { AppEnv } from './context.ts';
import { incomingOf } from './incoming.ts';

/** A thousand events, each with all the metadata it may have. */
export const eventsBodyMaxBytes = 8_388_608;
/** What any other body has room in. */
export const smallBodyMaxBytes = 65_536;
export const tooManyBodies = 'too many large bodies are on their way: send it again in a moment';
/** Room for one event; it doubles for what is larger. */
const firstBytes = 4_096;

/** The sender went, or was cut off, before the body was whole. */
export class CutOffError extends Error {
  override name = 'CutOffError';
}

/**
 * The request's body. Called by a handler once it knows who asks and for what: nothing is read on
 * behalf of anybody else, and what is not read stays with its sender.
 *
 * @param maxBytes of it, as it is sent and once it is unpacked
 * @throws ServiceError `payload_too_large`; `unsupported_encoding`; `invalid_request` for what is
 * not encoded as it says; `unavailable` while too many bodies are on their way; CutOffError
 */
export async function readBody(context: Context<AppEnv>, maxBytes: number): Promise<Buffer> {
  const named = context.req.header('Content-Encoding');
  const encoding = bodyEncodingOf(named);
  if (encoding === undefined) {
    const detail = `the content encoding ${named} is not known here: use ${bodyEncodings.join(' or ')}`;
    throw new ServiceError('unsupported_encoding', detail);
  }
  // Refused by its length before any of it is read; one that is sent in chunks is counted.
  if (Number(context.req.header('Content-Length')) > maxBytes) throw tooLarge(maxBytes);
  const bytes = await gather(context, maxBytes);
  try {
    return unpackBody(bytes, encoding, maxBytes);
  } catch (error) {
    if (!(error instanceof PackedBodyError)) throw error;
    if (error.isTooLarge) throw tooLarge(maxBytes);
    const { message } = error;
    throw new ServiceError('invalid_request', `the body ${message}`, [{ path: '', message }]);
  }
}

function tooLarge(maxBytes: number): ServiceError {
  return new ServiceError('payload_too_large', `the body must be at most ${maxBytes} bytes`);
}

async function gather(context: Context<AppEnv>, maxBytes: number): Promise<Buffer> {
  const { actor, bodies } = context.var;
  const holder = actor === undefined || actor instanceof ServiceError ? '' : actor.subject;
  // One buffer that grows, not the chunks: a sender may cut a body into bytes, and each chunk of one
  // takes a hundred times as much.
  let body = Buffer.alloc(0);
  let bytes = 0;
  const makeRoom = () => {
    const size = Math.min(Math.max(body.length * 2, firstBytes, bytes), maxBytes);
    if (bodies?.take(holder, size - body.length) === false) {
      throw new ServiceError('unavailable', tooManyBodies);
    }
    body = Buffer.concat([body], size);
  };
  const take = (chunk: Uint8Array) => {
    const start = bytes;
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    if (bytes > body.length) makeRoom();
    body.set(chunk, start);
  };
  try {
    const incoming = incomingOf(context);
    if (incoming !== undefined) await readIncoming(incoming, take);
    else for await (const chunk of context.req.raw.body ?? []) take(chunk);
    return body.subarray(0, bytes);
  } finally {
    bodies?.release(holder, body.length);
  }
}

/**
 * Not by the request's web stream: Node's adapter holds 16,384 chunks of any size before it slows the
 * sender down. What `take` refuses, the server leaves unread.
 */
function readIncoming(incoming: IncomingMessage, take: (chunk: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void) => {
      incoming.off('data', onData).off('end', onEnd).off('error', onCut).off('close', onCut);
      settle();
    };
    const onData = (chunk: Buffer) => {
      try {
        take(chunk);
      } catch (error) {
        incoming.pause();
        end(() => reject(error));
      }
    };
    const onEnd = () => end(resolve);
    const onCut = () => end(() => reject(new CutOffError('the body did not come whole')));
    if (incoming.readableEnded) return resolve();
    if (incoming.destroyed) return onCut();
    incoming.on('data', onData).on('end', onEnd).on('error', onCut).on('close', onCut);
  });
}
