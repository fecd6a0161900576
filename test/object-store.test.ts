import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteBucketPolicyCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type FolderStore, openFolderStore } from '../shared/platform/object-store/folder-store.ts';
import { type ObjectStore, openObjectStore } from '../shared/platform/object-store/object-store.ts';
import { openS3Store, type S3Settings } from '../shared/platform/object-store/s3-store.ts';
import { StoreError, type StoreFault } from '../shared/platform/object-store/store-error.ts';
import { services } from './support/services.ts';
import { watchStalls } from './support/stall-watch.ts';
import { startSilentServer, startTcpRelay } from './support/tcp-relay.ts';
import { until } from './support/until.ts';

const mebibyte = 1_048_576;
const csv = { contentType: 'text/csv', metadata: {} };

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
  if (isBucketUsed) await emptyBucket(bucket);
  isBucketUsed = false;
});

/** Looks at the bucket past the module under test. */
let s3: S3Client;
const bucket = `test-${randomUUID()}`;
let isBucketUsed = false;

beforeAll(async () => {
  const { S3_ENDPOINT, S3_REGION, S3_ACCESS_KEY, S3_SECRET_KEY } = services();
  s3 = new S3Client({
    endpoint: S3_ENDPOINT,
    region: S3_REGION,
    credentials: { accessKeyId: S3_ACCESS_KEY, secretAccessKey: S3_SECRET_KEY },
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  await s3.send(new CreateBucketCommand({ Bucket: bucket }));
});
afterAll(async () => {
  await removeBucket(bucket);
  s3.destroy();
});

async function objectsOf(Bucket: string): Promise<string[]> {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
  return Contents.map(({ Key = '' }) => Key);
}

async function uploadsOf(Bucket: string) {
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket }));
  return Uploads.map(({ Key = '', UploadId = '' }) => ({ Key, UploadId }));
}

async function emptyBucket(Bucket: string): Promise<void> {
  for (const Key of await objectsOf(Bucket)) {
    await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  }
  for (const upload of await uploadsOf(Bucket)) {
    await s3.send(new AbortMultipartUploadCommand({ Bucket, ...upload }));
  }
}

async function removeBucket(Bucket: string): Promise<void> {
  await emptyBucket(Bucket);
  await s3.send(new DeleteBucketCommand({ Bucket }));
}

function s3Settings(changes: Partial<S3Settings> = {}): S3Settings {
  return { ...services(), S3_BUCKET: bucket, ...changes };
}

function s3Store(changes: Partial<S3Settings> = {}, limits?: { requestMs: number }): ObjectStore {
  isBucketUsed = true;
  const store = openS3Store(s3Settings(changes), limits);
  cleanups.push(async () => store.close());
  return store;
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'analytics-store-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

interface Opened {
  store: ObjectStore;
  /** Everything there is: objects, and what puts left unfinished. */
  left(): Promise<string[]>;
  /** What a signed URL gives. */
  get(url: string): Promise<Download>;
}

interface Download {
  status: number;
  bytes: Buffer;
  contentType: string | null;
}

const kinds: [string, () => Promise<Opened>][] = [
  [
    'S3',
    async () => ({
      store: s3Store(),
      left: async () => [
        ...(await objectsOf(bucket)),
        ...(await uploadsOf(bucket)).map(({ Key }) => `unfinished ${Key}`),
      ],
      get: async (url) => {
        const response = await fetch(url);
        return {
          status: response.status,
          bytes: Buffer.from(await response.arrayBuffer()),
          contentType: response.headers.get('Content-Type'),
        };
      },
    }),
  ],
  [
    'a folder',
    async () => {
      const folder = await temporaryFolder();
      const store = openFolderStore(folder);
      return { store, left: () => filesIn(folder), get: (url) => follow(store, url) };
    },
  ],
];

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name !== '.signing-key')
    .map((entry) => entry.name);
}

/** What the API does with a link of the folder. */
function linkOf(url: string) {
  const { pathname, searchParams } = new URL(url, 'http://api');
  const [, key = ''] = /^\/analytics\/v1\/exports\/files\/(.+)$/.exec(pathname) ?? [];
  const named = (name: string) => searchParams.get(name) ?? '';
  return {
    key: decodeURIComponent(key),
    expires: named('expires'),
    filename: named('filename'),
    signature: named('signature'),
  };
}

async function follow(store: FolderStore, url: string): Promise<Download> {
  const found = await store.open(linkOf(url));
  if (found === null) return { status: 404, bytes: Buffer.alloc(0), contentType: null };
  const bytes = Buffer.from(await new Response(found.stream).arrayBuffer());
  expect(found.bytes).toBe(bytes.length);
  return { status: 200, bytes, contentType: found.contentType };
}

const key = () => `analytics/exports/${randomUUID()}/${randomUUID()}.csv`;

async function* chunksOf(...chunks: (Uint8Array | string)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

/** As many MiB as are asked for, in chunks of 64 KiB, each its own. */
async function* mebibytes(
  count: number,
  onChunk: (chunk: Buffer, index: number) => void = () => {},
): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < count * 16; index += 1) {
    const chunk = Buffer.alloc(65_536, `${index},`);
    onChunk(chunk, index);
    yield chunk;
  }
}

async function faultOf(work: Promise<unknown>): Promise<StoreError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof StoreError)) throw new Error(`no StoreError but ${error}`);
  expect(error.message).not.toContain(services().S3_SECRET_KEY);
  return error;
}

/** Keeps what libraries write to the console or warn of. */
function listen(): string[] {
  const said: string[] = [];
  const hear = (...words: unknown[]) => {
    said.push(words.join(' '));
    return true;
  };
  const spies = [
    vi.spyOn(process.stderr, 'write').mockImplementation(hear),
    ...(['log', 'info', 'warn', 'error'] as const).map((level) =>
      vi.spyOn(console, level).mockImplementation(hear),
    ),
  ];
  process.on('warning', hear);
  cleanups.push(async () => {
    process.off('warning', hear);
    for (const spy of spies) spy.mockRestore();
  });
  return said;
}

describe.each(kinds)('%s', (_, open) => {
  test('gives back what was put, with its metadata, until it is deleted', async () => {
    const { store, left } = await open();
    const [one, other] = [key(), key()];
    const metadata = { 'row-count': '2', note: 'a = "b", 100 %' };
    const put = await store.put(one, chunksOf('a,b\n', '1,2\n'), { ...csv, metadata });
    expect(put).toEqual({ etag: expect.stringMatching(/^[0-9a-f]{32,}$/), bytes: 8 });
    await store.put(other, Buffer.from('x'), csv);
    expect(await store.head(one)).toEqual({ bytes: 8, etag: put.etag, metadata });
    expect(String(await store.read(one))).toBe('a,b\n1,2\n');
    await store.delete([one, key(), other]);
    await store.delete([]);
    expect(await store.head(one)).toBeNull();
    expect(await store.read(one)).toBeNull();
    expect(await left()).toEqual([]);
  });

  test('puts in place of what is there', async () => {
    const { store } = await open();
    const name = key();
    const before = await store.put(name, Buffer.from('before'), {
      ...csv,
      metadata: { age: 'old' },
    });
    const after = await store.put(name, Buffer.from('now'), csv);
    expect(after.etag).not.toBe(before.etag);
    expect(await store.head(name)).toEqual({ bytes: 3, etag: after.etag, metadata: {} });
    expect(String(await store.read(name))).toBe('now');
  });

  test('keeps an object without a byte', async () => {
    const { store } = await open();
    const name = key();
    const said = listen();
    expect(await store.put(name, chunksOf(), csv)).toMatchObject({ bytes: 0 });
    expect(said).toEqual([]);
    expect(await store.head(name)).toMatchObject({ bytes: 0 });
    expect(await store.read(name)).toEqual(Buffer.alloc(0));
  });

  test.each([{ Upper: 'x' }, { n: 'é' }])(
    'refuses metadata that would not come back the same: %j',
    async (metadata) => {
      const { store, left } = await open();
      const putting = store.put(key(), Buffer.from('x'), { ...csv, metadata });
      await expect(putting).rejects.toThrow(TypeError);
      expect(await left()).toEqual([]);
    },
  );

  test('streams: 256 MiB pass through a small part of that, without a word', async () => {
    const { store, get } = await open();
    const said = listen();
    const name = key();
    const hash = createHash('sha256');
    // The first one brings in the SDK.
    await store.put(name, mebibytes(20), csv);
    const before = process.memoryUsage();
    let externalMax = 0;
    let heldMax = 0;
    const body = mebibytes(256, (chunk, index) => {
      hash.update(chunk);
      if (index % 16 > 0) return;
      const now = process.memoryUsage();
      externalMax = Math.max(externalMax, now.external - before.external);
      heldMax = Math.max(heldMax, now.rss - before.rss);
    });
    const { signal } = new AbortController();
    const { bytes } = await store.put(name, body, { ...csv, signal });
    expect(bytes).toBe(256 * mebibyte);
    expect(externalMax).toBeLessThan(128 * mebibyte);
    expect(heldMax).toBeLessThan(192 * mebibyte);
    expect(said).toEqual([]);
    await expect(store.read(name)).rejects.toThrow(/268435456 bytes: no more than 1048576/);
    const url = await store.signedUrl(name, { filename: 'x', contentType: 'y/z', ttlMs: 60_000 });
    const got = await get(url);
    expect(createHash('sha256').update(got.bytes).digest('hex')).toBe(hash.digest('hex'));
  });

  test.each([1, 30])(
    'a body that throws after %i MiB leaves the object as it was, and nothing else',
    async (count) => {
      const { store, left } = await open();
      const name = key();
      const { etag } = await store.put(name, Buffer.from('before'), csv);
      const before = await left();
      const wrong = new Error('the rows have ended early');
      let isClosed = false;
      async function* broken() {
        try {
          yield* mebibytes(count);
          throw wrong;
        } finally {
          isClosed = true;
        }
      }
      await expect(store.put(name, broken(), csv)).rejects.toBe(wrong);
      expect(isClosed).toBe(true);
      expect(await store.head(name)).toMatchObject({ bytes: 6, etag });
      expect((await left()).sort()).toEqual(before.sort());
    },
  );

  test.each([0, 1, 30])(
    'an abort after %i MiB leaves nothing, though the body waits for ever',
    async (count) => {
      const { store, left } = await open();
      const stop = new AbortController();
      const reason = new Error('the lease is lost');
      async function* endless() {
        yield* mebibytes(count);
        // What is on its way then is cut off in the middle.
        setImmediate(() => stop.abort(reason));
        await new Promise(() => {});
      }
      const putting = store.put(key(), endless(), { ...csv, signal: stop.signal });
      await expect(putting).rejects.toBe(reason);
      expect(await left()).toEqual([]);
    },
  );

  test('an abort before the beginning leaves the body alone', async () => {
    const { store, left } = await open();
    let isRead = false;
    async function* body() {
      isRead = true;
      yield Buffer.from('x');
    }
    const signal = AbortSignal.abort('stopped');
    await expect(store.put(key(), body(), { ...csv, signal })).rejects.toBe('stopped');
    expect(isRead).toBe(false);
    expect(await left()).toEqual([]);
  });

  test('gives the same etag of an object of several parts', async () => {
    const { store } = await open();
    const name = key();
    const { etag } = await store.put(name, mebibytes(20), csv);
    expect(await store.head(name)).toEqual({ bytes: 20 * mebibyte, etag, metadata: {} });
  });

  test('a signed URL gives the object, and nobody without it gets one', async () => {
    const { store, get } = await open();
    const name = key();
    const content = randomBytes(100_000);
    await store.put(name, content, csv);
    const options = { filename: 'June 2025.csv', contentType: 'text/csv', ttlMs: 60_000 };
    const url = await store.signedUrl(name, options);
    expect(await get(url)).toEqual({ status: 200, bytes: content, contentType: 'text/csv' });
    await store.delete([name]);
    expect(await get(url)).toMatchObject({ status: 404 });
  });

  test('passes its own check and proof, which leaves nothing', async () => {
    const { store, left } = await open();
    await store.check();
    await store.prove();
    expect(await left()).toEqual([]);
  });
});

describe('S3', () => {
  async function abandonedUpload(Key: string): Promise<void> {
    const upload = { Bucket: bucket, Key };
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(upload));
    const part = { ...upload, UploadId, PartNumber: 1, Body: randomBytes(1_000) };
    await s3.send(new UploadPartCommand(part));
  }

  test('ends the uploads below a prefix that were begun before a time', async () => {
    const store = s3Store();
    const prefix = `abandoned/${randomUUID()}`;
    for (const name of ['a/1', 'a/1', 'a/2', 'b/1']) await abandonedUpload(`${prefix}/${name}`);
    const [hourAgo, soon] = [-3_600_000, 3_600_000].map((ms) => new Date(Date.now() + ms));
    expect(await store.abortUploads(`${prefix}/`, hourAgo ?? new Date(0))).toBe(0);
    expect(await store.abortUploads(`${prefix}/a/`, soon ?? new Date(0))).toBe(3);
    expect(await uploadsOf(bucket)).toMatchObject([{ Key: `${prefix}/b/1` }]);
    expect(await store.abortUploads(`${prefix}/`, soon ?? new Date(0))).toBe(1);
    expect(await uploadsOf(bucket)).toEqual([]);
  });

  describe('a signed URL', () => {
    const options = { filename: 'a.csv', contentType: 'text/csv', ttlMs: 60_000 };

    test('names the file to save', async () => {
      const store = s3Store();
      const name = key();
      await store.put(name, Buffer.from('x'), csv);
      const filename = 'Jänner "25".csv';
      const response = await fetch(await store.signedUrl(name, { ...options, filename }));
      expect(response.headers.get('Content-Disposition')).toBe(
        `attachment; filename="J_nner _25_.csv"; filename*=UTF-8''J%C3%A4nner%20%2225%22.csv`,
      );
    });

    test('is refused once it is over, or changed', async () => {
      const store = s3Store();
      const name = key();
      await store.put(name, Buffer.from('x'), csv);
      const url = new URL(await store.signedUrl(name, options));
      for (const [field, value] of [
        ['X-Amz-Expires', '90'],
        ['response-content-disposition', 'attachment; filename="b.csv"'],
        ['X-Amz-Signature', '0'.repeat(64)],
      ] as const) {
        const changed = new URL(url);
        expect(changed.searchParams.has(field)).toBe(true);
        changed.searchParams.set(field, value);
        expect((await fetch(changed)).status).toBe(403);
      }
      const other = key();
      await store.put(other, Buffer.from('secret'), csv);
      const elsewhere = new URL(url);
      elsewhere.pathname = elsewhere.pathname.replace(name, other);
      expect((await fetch(elsewhere)).status).toBe(403);
      const short = await store.signedUrl(name, { ...options, ttlMs: 2_000 });
      expect((await fetch(short)).status).toBe(200);
      await until('the URL is over', async () => (await fetch(short)).status === 403);
      expect((await fetch(url)).status).toBe(200);
    });

    test('lasts 7 days at most', async () => {
      const url = await s3Store().signedUrl(key(), { ...options, ttlMs: 30 * 86_400_000 });
      expect(new URL(url).searchParams.get('X-Amz-Expires')).toBe('604800');
    });
  });

  describe('says what is wrong', () => {
    test.each<[string, Partial<S3Settings>, StoreFault, RegExp]>([
      [
        'the access key',
        { S3_ACCESS_KEY: 'nobody' },
        'credentials',
        /InvalidAccessKeyId.*S3_ACCESS_KEY/,
      ],
      [
        'the secret',
        { S3_SECRET_KEY: 'x'.repeat(40) },
        'credentials',
        /SignatureDoes.*S3_SECRET_KEY/,
      ],
      [
        'the bucket',
        { S3_BUCKET: 'never-made' },
        'missing_bucket',
        /never-made does not exist at http:\/\/127.*bootstrap.*S3_BUCKET/,
      ],
      [
        'the port',
        { S3_ENDPOINT: 'http://127.0.0.1:1' },
        'unreachable',
        /ECONNREFUSED.*S3_ENDPOINT/,
      ],
      [
        'the host',
        { S3_ENDPOINT: 'http://nowhere.invalid' },
        'unreachable',
        /nowhere\.invalid.*S3_ENDPOINT/,
      ],
    ])('%s', async (_, changes, fault, message) => {
      const store = s3Store(changes);
      const tries = {
        check: () => store.check(),
        put: () => store.put(key(), Buffer.from('x'), csv),
        'put of several parts': () => store.put(key(), mebibytes(20), csv),
        head: () => store.head(key()),
        read: () => store.read(key()),
        delete: () => store.delete([key()]),
        abortUploads: () => store.abortUploads('a', new Date()),
        prove: () => store.prove(),
      };
      for (const [name, attempt] of Object.entries(tries)) {
        const error = await faultOf(attempt());
        expect({ name, fault: error.fault }).toEqual({ name, fault });
        expect(error.message).toMatch(message);
      }
    });

    test('a server that is silent, within a second', async () => {
      const silent = await startSilentServer();
      cleanups.push(() => silent.stop());
      const store = s3Store({ S3_ENDPOINT: `http://127.0.0.1:${silent.port}` });
      // The SDK loads but once in a process.
      await store.signedUrl(key(), { filename: 'x', contentType: 'y/z', ttlMs: 1_000 });
      for (const attempt of [() => store.check(), () => store.head('a'), () => store.read('a')]) {
        const stalledMs = watchStalls();
        const startedMs = performance.now();
        const error = await faultOf(attempt());
        expect(performance.now() - startedMs - stalledMs()).toBeLessThan(900);
        expect(error).toMatchObject({
          fault: 'unreachable',
          message: expect.stringContaining('no answer in time'),
        });
      }
    });

    test.each([200, 404])('a web server that is none of S3 and answers %i', async (status) => {
      const page = '<html><body><p>Hello <b>there</b></p></body></html>';
      const server = createHttpServer((_, response) => response.writeHead(status).end(page));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      cleanups.push(async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      });
      const { port } = server.address() as AddressInfo;
      const store = s3Store({ S3_ENDPOINT: `http://127.0.0.1:${port}` });
      const error = await faultOf(store.check());
      expect(error.fault).toBe('other');
      expect(error.message).toMatch(/S3 server/);
      await expect(store.ensure()).rejects.toThrow(StoreError);
      await expect(store.put(key(), Buffer.from('x'), csv)).rejects.toThrow(StoreError);
      if (status === 404) await expect(store.head(key())).rejects.toThrow(/S3 server/);
    });

    test.each([
      ['s3:PutObject', ['PutObject']],
      ['s3:GetObject', ['GetObject']],
      ['s3:DeleteObject', ['DeleteObject']],
      [
        ['s3:GetObject', 's3:DeleteObject'],
        ['GetObject', 'DeleteObject'],
      ],
    ] as const)('the right that is missing: %s', async (Action, missing) => {
      const Bucket = `test-${randomUUID()}`;
      await s3.send(new CreateBucketCommand({ Bucket }));
      cleanups.push(async () => {
        await s3.send(new DeleteBucketPolicyCommand({ Bucket }));
        await removeBucket(Bucket);
      });
      const store = s3Store({ S3_BUCKET: Bucket });
      const name = key();
      await store.put(name, Buffer.from('x'), csv);
      const Resource = [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`];
      const Statement = [{ Effect: 'Deny', Principal: '*', Action, Resource }];
      const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
      await s3.send(new PutBucketPolicyCommand({ Bucket, Policy }));
      const error = await faultOf(store.prove());
      expect(error.fault).toBe('permission');
      const named = ['PutObject', 'GetObject', 'DeleteObject'].filter((operation) =>
        error.message.includes(`does not allow ${operation} in the bucket ${Bucket}`),
      );
      expect(named).toEqual(missing);
      expect(error.message).toContain('S3_ACCESS_KEY');
      await store.check();
      if (named.includes('GetObject')) {
        expect(await faultOf(store.head(name))).toMatchObject({ fault: 'permission' });
      }
      if (named.includes('PutObject')) {
        expect(await faultOf(store.put(name, mebibytes(20), csv))).toMatchObject({
          fault: 'permission',
        });
        expect(await uploadsOf(Bucket)).toEqual([]);
      }
    });
  });

  test('makes a bucket that is missing, once', async () => {
    const Bucket = `test-${randomUUID()}`;
    const store = s3Store({ S3_BUCKET: Bucket });
    expect(await faultOf(store.check())).toMatchObject({ fault: 'missing_bucket' });
    expect(await store.ensure()).toBe(true);
    cleanups.push(() => removeBucket(Bucket));
    expect(await store.ensure()).toBe(false);
    await store.check();
  });

  test.each(['AES256', undefined] as const)('asks for encryption by S3_SSE=%s', async (sse) => {
    const { S3_ENDPOINT, sent } = await startRecorder();
    const store = s3Store({ S3_ENDPOINT, ...(sse === undefined ? {} : { S3_SSE: sse }) });
    for (const body of [Buffer.from('x'), mebibytes(9)]) {
      sent.length = 0;
      const name = key();
      // The gateway of the tests has no keys to encrypt with.
      const outcome = await store.put(name, body, csv).catch((error: unknown) => error);
      const headers = sent.join('').toLowerCase();
      expect(headers).toContain(`/${bucket}/${name}`);
      expect(headers.includes('x-amz-server-side-encryption: aes256')).toBe(sse === 'AES256');
      // Linode's gateway knows no checksums in headers or trailers.
      expect(headers).not.toMatch(/x-amz-(sdk-)?checksum|aws-chunked/);
      if (sse === undefined) await store.delete([name]);
      else expect(outcome).toMatchObject({ message: expect.stringContaining('S3_SSE=AES256') });
    }
    expect(await uploadsOf(bucket)).toEqual([]);
  });

  test('an abort ends the parts that are on their way, however slow the network', async () => {
    const isPart = (request: string) => request.includes('partNumber=');
    const { S3_ENDPOINT, sent } = await startRecorder(isPart);
    const store = s3Store({ S3_ENDPOINT });
    const name = key();
    const stop = new AbortController();
    const putting = store.put(name, mebibytes(40), { ...csv, signal: stop.signal });
    const outcome = putting.catch((reason: unknown) => reason);
    await until('two parts are on their way', async () => sent.filter(isPart).length === 2);
    const abortedMs = performance.now();
    stop.abort('the lease is lost');
    expect(await outcome).toBe('the lease is lost');
    expect(performance.now() - abortedMs).toBeLessThan(3_000);
    expect(await uploadsOf(bucket)).toEqual([]);
    expect(await objectsOf(bucket)).toEqual([]);
  });

  test('a body whose own end goes wrong does no harm where the store failed', async () => {
    async function* body() {
      try {
        yield* mebibytes(40);
      } finally {
        // biome-ignore lint/correctness/noUnsafeFinally: this is what is tried
        throw new Error('no rollback');
      }
    }
    const store = s3Store({ S3_BUCKET: 'never-made' });
    expect(await faultOf(store.put(key(), body(), csv))).toMatchObject({ fault: 'missing_bucket' });
  });

  test.each(['freeze', 'stop'] as const)(
    'a network that is cut in the middle (%s) is unreachable; what it left can be ended later',
    async (how) => {
      const relay = await startTcpRelay(services().S3_ENDPOINT);
      cleanups.push(() => relay.stop().catch(() => {}));
      const S3_ENDPOINT = relay.through(services().S3_ENDPOINT);
      const store = s3Store({ S3_ENDPOINT }, { requestMs: 1_000 });
      const name = key();
      let isClosed = false;
      async function* body() {
        try {
          yield* mebibytes(40);
          await until('the upload has begun', async () => (await uploadsOf(bucket)).length > 0);
          await relay[how]();
          yield* mebibytes(40);
        } finally {
          isClosed = true;
        }
      }
      const said = listen();
      const startedMs = performance.now();
      expect(await faultOf(store.put(name, body(), csv))).toMatchObject({ fault: 'unreachable' });
      expect(said).toEqual([]);
      expect(performance.now() - startedMs).toBeLessThan(30_000);
      expect(isClosed).toBe(true);
      const direct = s3Store();
      expect(await direct.head(name)).toBeNull();
      expect(await direct.abortUploads(name, new Date(Date.now() + 60_000))).toBe(1);
      expect(await uploadsOf(bucket)).toEqual([]);
      expect(await objectsOf(bucket)).toEqual([]);
    },
  );
});

/** A relay that keeps what the client sends, and holds up for ever the requests that it is told to. */
async function startRecorder(isHeldUp: (request: string) => boolean = () => false) {
  const target = new URL(services().S3_ENDPOINT);
  const sent: string[] = [];
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    near.on('data', (chunk) => {
      const text = chunk.toString('latin1');
      sent.push(text);
      if (!isHeldUp(text)) far.write(chunk);
    });
    far.pipe(near);
    for (const socket of [near, far]) {
      socket.on('error', () => {});
      socket.on('close', () => {
        near.destroy();
        far.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as AddressInfo;
  return { S3_ENDPOINT: `http://127.0.0.1:${port}`, sent };
}

describe('a folder', () => {
  const options = { filename: 'June "2025" é.csv', contentType: 'text/csv', ttlMs: 60_000 };

  test('stands in where no S3 is set, and only where a folder is given', async () => {
    const folder = await temporaryFolder();
    const nowhere = s3Settings({ S3_ENDPOINT: undefined });
    expect(openObjectStore(nowhere, folder)?.name).toBe('folder');
    expect(openObjectStore(nowhere)).toBeNull();
    expect(openObjectStore(s3Settings(), folder)?.name).toBe('s3');
  });

  test('a link names the file to save and its type', async () => {
    const store = openFolderStore(await temporaryFolder());
    const name = `${key()}/a b?#%.csv`;
    await store.put(name, Buffer.from('x'), csv);
    const url = await store.signedUrl(name, options);
    expect(url).toMatch(/^\/analytics\/v1\/exports\/files\/analytics\/exports\/.*expires=\d{10}&/);
    expect(await store.open(linkOf(url))).toMatchObject({
      bytes: 1,
      contentType: 'text/csv',
      filename: 'June "2025" é.csv',
    });
  });

  test('refuses a link that was changed', async () => {
    const store = openFolderStore(await temporaryFolder());
    const [name, other] = [key(), key()];
    for (const one of [name, other]) await store.put(one, Buffer.from('x'), csv);
    const link = linkOf(await store.signedUrl(name, options));
    expect(await store.open(link)).not.toBeNull();
    for (const change of [
      { key: other },
      { key: `${name}.meta.json` },
      { key: '.signing-key' },
      { key: `../${name}` },
      { expires: String(Number(link.expires) + 1) },
      { expires: '' },
      { filename: 'other.csv' },
      { filename: '' },
      { signature: '' },
      { signature: link.signature.slice(1) },
      { signature: `${link.signature}00` },
      { signature: link.signature.toUpperCase() },
      { signature: link.signature.replace(/./, (first) => (first === '0' ? '1' : '0')) },
    ]) {
      await expect(
        store.open({ ...link, ...change }),
        JSON.stringify(change),
      ).rejects.toMatchObject({
        name: 'ServiceError',
        code: 'forbidden',
      });
    }
  });

  test('refuses a link that is over', async () => {
    const store = openFolderStore(await temporaryFolder());
    const name = key();
    await store.put(name, Buffer.from('x'), csv);
    const link = linkOf(await store.signedUrl(name, options));
    const endsMs = Number(link.expires) * 1_000;
    expect(endsMs - Date.now()).toBeGreaterThan(50_000);
    expect(endsMs - Date.now()).toBeLessThanOrEqual(61_000);
    expect(await store.open(link, endsMs - 1)).not.toBeNull();
    await expect(store.open(link, endsMs)).rejects.toMatchObject({ code: 'forbidden' });
    const long = linkOf(await store.signedUrl(name, { ...options, ttlMs: 30 * 86_400_000 }));
    expect(Number(long.expires) * 1_000 - Date.now()).toBeLessThanOrEqual(7 * 86_400_000 + 1_000);
  });

  test('several stores that begin on one folder at once serve each other’s links', async () => {
    const name = key();
    // Who of them makes the key is up to chance.
    for (let round = 0; round < 10; round += 1) {
      const folder = join(await temporaryFolder(), 'new');
      const stores = Array.from({ length: 8 }, () => openFolderStore(folder));
      const urls = await Promise.all(stores.map((store) => store.signedUrl(name, options)));
      const [one] = stores;
      await one?.put(name, Buffer.from('x'), csv);
      for (const url of urls) expect(await one?.open(linkOf(url))).not.toBeNull();
      expect((await readdir(folder)).sort()).toEqual(['.signing-key', 'analytics']);
    }
  });

  test('a link is good for its own folder alone', async () => {
    const [one, other] = [
      openFolderStore(await temporaryFolder()),
      openFolderStore(await temporaryFolder()),
    ];
    const name = key();
    for (const store of [one, other]) await store.put(name, Buffer.from('x'), csv);
    const url = await one.signedUrl(name, options);
    await expect(other.open(linkOf(url))).rejects.toMatchObject({ code: 'forbidden' });
  });

  test.each([
    '',
    '/etc/passwd',
    '../outside',
    'a/../../outside',
    'a/./b',
    'a//b',
    'a/',
    'a\0b',
    'a\\..\\b',
    '.signing-key',
    'a.csv.meta.json',
    'a.csv.part',
  ])('has no object named %j', async (name) => {
    const outer = await temporaryFolder();
    const store = openFolderStore(join(outer, 'inner'));
    await store.ensure();
    for (const attempt of [
      () => store.put(name, Buffer.from('x'), csv),
      () => store.head(name),
      () => store.read(name),
      () => store.delete([name]),
      () => store.signedUrl(name, options),
    ]) {
      expect(await faultOf(attempt())).toMatchObject({ fault: 'other' });
    }
    expect(await filesIn(outer)).toEqual([]);
  });

  test('is private: what it makes can be read by its owner alone', async () => {
    const folder = join(await temporaryFolder(), 'exports');
    const store = openFolderStore(folder);
    expect(await store.ensure()).toBe(true);
    expect(await store.ensure()).toBe(false);
    await store.put('a/b/c.csv', Buffer.from('x'), csv);
    await store.signedUrl('a/b/c.csv', options);
    const modes: Record<string, number> = {};
    for (const name of ['.', ...(await readdir(folder, { recursive: true }))]) {
      modes[name] = (await stat(join(folder, name))).mode & 0o777;
    }
    expect(modes).toEqual({
      '.': 0o700,
      '.signing-key': 0o600,
      a: 0o700,
      'a/b': 0o700,
      'a/b/c.csv': 0o600,
      'a/b/c.csv.meta.json': 0o600,
    });
  });

  test('ends what was begun before a time, which fails where it still goes on', async () => {
    const folder = await temporaryFolder();
    const store = openFolderStore(folder);
    let goOn = () => {};
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let isWaiting = false;
    async function* slow() {
      yield Buffer.from('x');
      isWaiting = true;
      await gate;
      yield Buffer.from('y');
    }
    const startedAt = new Date();
    const putting = faultOf(store.put('a/b.csv', slow(), csv));
    await until('the first chunk is written', async () => isWaiting);
    expect(await filesIn(folder)).toEqual([expect.stringMatching(/^b\.csv\..*\.part$/)]);
    const later = new Date(Date.now() + 60_000);
    expect(await store.abortUploads('a/', startedAt)).toBe(0);
    expect(await store.abortUploads('b/', later)).toBe(0);
    expect(await store.abortUploads('a/b', later)).toBe(1);
    goOn();
    await putting;
    expect(await filesIn(folder)).toEqual([]);
    expect(await store.head('a/b.csv')).toBeNull();
  });

  const writes = (store: ObjectStore) => [
    () => store.check(),
    () => store.put('a', Buffer.from('x'), csv),
    () => store.prove(),
  ];

  test('says when the folder is none', async () => {
    const file = join(await temporaryFolder(), 'file');
    await writeFile(file, '');
    const store = openFolderStore(file);
    for (const attempt of writes(store)) {
      const error = await faultOf(attempt());
      expect(error.fault).toBe('missing_bucket');
      expect(error.message).toContain(file);
    }
  });

  // Not even root may write there.
  test.skipIf(!existsSync('/sys/kernel'))('says when it may not write', async () => {
    const store = openFolderStore('/sys/kernel/exports');
    for (const attempt of writes(store)) {
      const error = await faultOf(attempt());
      expect(error.fault).toBe('permission');
      expect(error.message).toMatch(/cannot write in the folder \/sys\/kernel\/exports/);
    }
  });
});
