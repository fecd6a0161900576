import { createHash, createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  access,
  constants,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
} from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import * as z from 'zod';
import { messageOf, ServiceError } from '../errors.ts';
import { checkMetadata, storeBody } from './body.ts';
import type { ObjectStore } from './object-store.ts';
import { proveStore } from './proof.ts';
import { StoreError, type StoreFault } from './store-error.ts';

/** What a signed link of the folder names, as it stands in the link. */
export interface LinkRequest {
  key: string;
  expires: string;
  filename: string;
  signature: string;
}

export interface LinkedFile {
  /** Opens the file when it is first read; one that nobody reads holds nothing. */
  stream: ReadableStream<Uint8Array>;
  bytes: number;
  contentType: string;
  filename: string;
}

/** A folder also serves what its own signed links name. */
export interface FolderStore extends ObjectStore {
  readonly name: 'folder';
  /**
   * Null when there is no such file any more.
   *
   * @throws ServiceError `forbidden` when the link was changed or is over.
   */
  open(request: LinkRequest, nowMs?: number): Promise<LinkedFile | null>;
}

const linkPath = '/analytics/v1/exports/files/';
const readBytesMax = 1_048_576;
const linkMsMax = 7 * 86_400_000;
const signingKeyFile = '.signing-key';
const temporaryName = /^(.+)\.(\d+)-[0-9a-f-]{36}\.part$/;
const ownName = /(\.meta\.json|\.part|^\.signing-key)$/i;

const metaShape = z.object({
  etag: z.string(),
  contentType: z.string(),
  metadata: z.record(z.string(), z.string()),
});

/**
 * A folder of this machine: `<key>` is the content, `<key>.meta.json` beside it the rest. An
 * object is there once both are.
 */
export function openFolderStore(folder: string): FolderStore {
  function fileOf(key: string): string {
    const segments = key.split('/');
    const isWrong = (segment: string) =>
      ['', '.', '..'].includes(segment) || /[\0\\]/.test(segment) || ownName.test(segment);
    if (segments.some(isWrong)) {
      throw new StoreError('other', `${JSON.stringify(key)} cannot be the name of an object`);
    }
    return join(folder, ...segments);
  }

  async function doing<T>(operation: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw folderError(error, operation, folder);
    }
  }

  async function find(key: string) {
    const file = fileOf(key);
    const [text, found] = await Promise.all([
      orNull(readFile(metaOf(file), 'utf8')),
      orNull(stat(file)),
    ]);
    if (text === null || found === null) return null;
    return { file, bytes: found.size, ...metaShape.parse(JSON.parse(text)) };
  }

  async function sign(key: string, expires: string, filename: string): Promise<string> {
    const secret = await signingKey(folder);
    return createHmac('sha256', secret)
      .update(JSON.stringify([key, expires, filename]))
      .digest('hex');
  }

  const store: FolderStore = {
    name: 'folder',

    check: () =>
      doing('write', async () => {
        await makeFolder(folder);
        await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
      }),

    put: async (key, body, { contentType, metadata, signal }) => {
      checkMetadata(metadata);
      const source = storeBody(body, signal);
      const file = fileOf(key);
      const [content, meta] = [temporary(file), temporary(metaOf(file))];
      try {
        await makeFolder(dirname(file));
        const etag = await writeFully(content, source.chunks);
        await writeFully(meta, [Buffer.from(JSON.stringify({ etag, contentType, metadata }))]);
        // The old object goes first: at no time do content and etag belong to different ones.
        await rm(metaOf(file), { force: true });
        await rename(content, file);
        await rename(meta, metaOf(file));
        return { etag, bytes: source.bytes };
      } catch (error) {
        await Promise.allSettled([rm(content, { force: true }), rm(meta, { force: true })]);
        if (source.failure !== undefined) throw source.failure.reason;
        throw folderError(error, 'write', folder);
      }
    },

    head: (key) =>
      doing('read', async () => {
        const found = await find(key);
        return found && { bytes: found.bytes, etag: found.etag, metadata: found.metadata };
      }),

    read: (key) =>
      doing('read', async () => {
        const found = await find(key);
        if (found !== null && found.bytes > readBytesMax) {
          throw new StoreError(
            'other',
            `${key} has ${found.bytes} bytes: no more than ${readBytesMax} are read at once`,
          );
        }
        return found && orNull(readFile(found.file));
      }),

    delete: (keys) =>
      doing('delete', async () => {
        for (const file of keys.map(fileOf)) {
          await orNull(rm(metaOf(file), { force: true }));
          await orNull(rm(file, { force: true }));
        }
      }),

    abortUploads: (prefix, begunBefore) =>
      doing('delete', async () => {
        const names = (await orNull(readdir(folder, { recursive: true }))) ?? [];
        const left = names.filter((name) => {
          const [, key, begunMs] = temporaryName.exec(name.replaceAll(sep, '/')) ?? [];
          return key?.startsWith(prefix) === true && Number(begunMs) < begunBefore.getTime();
        });
        for (const name of left) await rm(join(folder, name), { force: true });
        return left.length;
      }),

    signedUrl: (key, { filename, ttlMs }) =>
      doing('sign', async () => {
        fileOf(key);
        const expires = String(Math.ceil((Date.now() + Math.min(ttlMs, linkMsMax)) / 1_000));
        const signature = await sign(key, expires, filename);
        const path = key.split('/').map(encodeURIComponent).join('/');
        return `${linkPath}${path}?${new URLSearchParams({ expires, filename, signature })}`;
      }),

    open: ({ key, expires, filename, signature }, nowMs = Date.now()) =>
      doing('read', async () => {
        if (!isSame(signature, await sign(key, expires, filename))) {
          throw new ServiceError('forbidden', 'the link is not as it was given: ask for a new one');
        }
        if (Number(expires) * 1_000 <= nowMs) {
          throw new ServiceError('forbidden', 'the link is over: ask for a new one');
        }
        const found = await find(key);
        if (found === null) return null;
        const { file, bytes, contentType } = found;
        return { stream: ReadableStream.from(contentOf(file)), bytes, contentType, filename };
      }),

    prove: () => proveStore(store),

    ensure: () => doing('write', () => makeFolder(folder)),

    close: () => {},
  };
  return store;
}

function metaOf(file: string): string {
  return `${file}.meta.json`;
}

/** Says whose it will be and when it was begun, so that it can be told when it is left over. */
function temporary(file: string): string {
  return `${file}.${Date.now()}-${randomUUID()}.part`;
}

/** True when it was not there. */
async function makeFolder(folder: string): Promise<boolean> {
  return (await mkdir(folder, { recursive: true, mode: 0o700 })) !== undefined;
}

/** Gives the content's SHA-256 once all of it is on the disk. */
async function writeFully(
  file: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<string> {
  const hash = createHash('sha256');
  const handle = await open(file, 'wx', 0o600);
  try {
    for await (const chunk of chunks) {
      hash.update(chunk);
      await handle.writeFile(chunk);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return hash.digest('hex');
}

async function* contentOf(file: string): AsyncGenerator<Uint8Array> {
  yield* createReadStream(file);
}

/** The key of the folder's links, made by whoever needs it first. */
async function signingKey(folder: string): Promise<Buffer> {
  const file = join(folder, signingKeyFile);
  const known = await orNull(readFile(file));
  if (known !== null) return known;
  await makeFolder(folder);
  const draft = temporary(file);
  try {
    await writeFully(draft, [randomBytes(32)]);
    // Unlike a rename this leaves the key of another process as it is.
    await link(draft, file).catch((error: unknown) => {
      if (codeOf(error) !== 'EEXIST') throw error;
    });
  } finally {
    await rm(draft, { force: true });
  }
  return readFile(file);
}

function isSame(given: string, wanted: string): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(wanted)];
  return one.length === other.length && timingSafeEqual(one, other);
}

const coded = z.object({ code: z.string() });

function codeOf(error: unknown): string | undefined {
  return coded.safeParse(error).data?.code;
}

async function orNull<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return null;
    throw error;
  }
}

function folderError(error: unknown, operation: string, folder: string): Error {
  if (error instanceof StoreError || error instanceof ServiceError) return error;
  const code = codeOf(error) ?? '';
  const fault: StoreFault = ['EACCES', 'EPERM', 'EROFS'].includes(code)
    ? 'permission'
    : ['ENOENT', 'ENOTDIR', 'EEXIST'].includes(code)
      ? 'missing_bucket'
      : 'other';
  const help =
    fault === 'permission'
      ? ': make it writable for the user of this service'
      : fault === 'missing_bucket'
        ? ': is it a folder, and still there?'
        : '';
  return new StoreError(
    fault,
    `cannot ${operation} in the folder ${folder} (${messageOf(error)})${help}`,
    error,
  );
}
