import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { messageOf } from '../../shared/platform/errors.ts';
import { UsageError } from '../cli/failure.ts';

/**
 * A file's text as UTF-8, a chunk at a time: unpacked where it is gzip, converted where its byte
 * order mark says UTF-16, without the mark. What it is, its bytes say, not its name.
 *
 * @throws UsageError when it cannot be read, or is of another kind, which is named
 */
export async function* readText(path: string): AsyncGenerator<Buffer> {
  const start = await startOf(path);
  if (isGzip(start)) {
    // Who stops reading early closes the file as well; a fault comes out where it is read.
    const unpacked = pipeline(createReadStream(path), createGunzip(), () => {});
    yield* asUtf8(named(unpacked, path), path);
  } else {
    yield* asUtf8(createReadStream(path), path);
  }
}

/** Enough for every mark below. */
const startBytes = 8;

async function startOf(path: string): Promise<Buffer> {
  try {
    const file = await open(path);
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(startBytes), 0, startBytes, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new UsageError(`FILE cannot be read: ${messageOf(error)}`);
  }
}

const isGzip = (start: Buffer) => start[0] === 0x1f && start[1] === 0x8b;

/** A damaged or cut archive is said to be one. */
async function* named(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer> {
  try {
    yield* chunks;
  } catch (error) {
    throw new UsageError(`${path}: the gzip file cannot be unpacked: ${messageOf(error)}`);
  }
}

/** What is no text, by how it begins. */
const otherKinds: readonly (readonly [string, string])[] = [
  ['504b0304', 'a zip archive, as .xlsx files are too: unpack it, or save it as CSV'],
  ['28b52ffd', 'packed by zstd: unpack it, or pack it by gzip'],
  ['425a68', 'packed by bzip2: unpack it, or pack it by gzip'],
  ['fd377a585a', 'packed by xz: unpack it, or pack it by gzip'],
  ['50415231', 'a Parquet file: write it as CSV or NDJSON'],
  ['1f8b', 'packed by gzip twice: unpack it'],
  ['d0cf11e0', 'an Excel workbook: save it as CSV'],
];

async function* asUtf8(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer> {
  let isFirst = true;
  let utf16: InstanceType<typeof TextDecoder> | undefined;
  for await (let chunk of whole(chunks)) {
    if (isFirst) {
      isFirst = false;
      const start = chunk.toString('hex', 0, startBytes);
      const [, kind] = otherKinds.find(([mark]) => start.startsWith(mark)) ?? [];
      if (kind !== undefined) throw new UsageError(`${path} is ${kind}`);
      if (start.startsWith('fffe')) utf16 = new TextDecoder('utf-16le', { fatal: true });
      else if (start.startsWith('feff')) utf16 = new TextDecoder('utf-16be', { fatal: true });
      else if (/^(..00){2}|^(00..){2}/.test(start)) {
        throw new UsageError(`${path} is UTF-16 without a byte order mark: save it as UTF-8`);
      }
      if (start.startsWith('efbbbf')) chunk = chunk.subarray(3);
    }
    yield utf16 === undefined ? chunk : decoded(utf16, chunk, path);
  }
  if (utf16 !== undefined) yield decoded(utf16, undefined, path);
}

/** @param chunk the next one, or none where the text is to be complete */
function decoded(
  utf16: InstanceType<typeof TextDecoder>,
  chunk: Buffer | undefined,
  path: string,
): Buffer {
  try {
    return Buffer.from(
      chunk === undefined ? utf16.decode() : utf16.decode(chunk, { stream: true }),
    );
  } catch {
    throw new UsageError(`${path} is cut off, or is not the UTF-16 that it says it is`);
  }
}

/** The same, but that the first chunk has what tells of the whole, however small its parts are. */
async function* whole(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let first: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of chunks) {
    if (first === undefined) {
      yield chunk;
      continue;
    }
    first = Buffer.concat([first, chunk]);
    if (first.length < startBytes) continue;
    yield first;
    first = undefined;
  }
  if (first !== undefined && first.length > 0) yield first;
}
