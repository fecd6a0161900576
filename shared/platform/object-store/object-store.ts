import { openFolderStore } from './folder-store.ts';
import { openS3Store, type S3Settings } from './s3-store.ts';

export interface PutOptions {
  contentType: string;
  /** Names of `a-z`, `0-9` and `-`, values of printable ASCII: they travel as HTTP headers. */
  metadata: Record<string, string>;
  signal?: AbortSignal;
}

/**
 * Where exports are kept: a bucket of an S3-compatible store, or a folder on this machine. What a
 * store fails to do is a StoreError.
 */
export interface ObjectStore {
  readonly name: 's3' | 'folder';
  /**
   * For readiness: answers within some 700 ms.
   *
   * @throws StoreError when the bucket or folder cannot be reached.
   */
  check(): Promise<void>;
  /**
   * Writes an object whole or not at all, in place of one of the same key, in flat memory. When
   * the body throws or the signal aborts before the body's end, nothing is left, and the body's
   * own error or the signal's reason is thrown. Chunks must not change once they are handed over.
   */
  put(
    key: string,
    body: AsyncIterable<Uint8Array> | Uint8Array,
    options: PutOptions,
  ): Promise<{ etag: string; bytes: number }>;
  /** Null when there is no such object. Answers within some 700 ms. */
  head(key: string): Promise<ObjectHead | null>;
  /**
   * A whole object of at most 1 MiB, within some 700 ms; null when there is none.
   *
   * @throws StoreError for a larger one.
   */
  read(key: string): Promise<Buffer | null>;
  /** Absent keys are fine. */
  delete(keys: readonly string[]): Promise<void>;
  /**
   * Ends what dead processes began to put below a prefix before a time, and a live one's too.
   *
   * @returns how many uploads, or the folder's temporary files, there were.
   */
  abortUploads(prefix: string, begunBefore: Date): Promise<number>;
  /** A URL that anybody can GET for `ttlMs`, 7 days at most; a browser saves it as `filename`. */
  signedUrl(key: string, options: SignedUrlOptions): Promise<string>;
  /**
   * For bootstrap: tries to put, read and delete a small object.
   *
   * @throws StoreError that says which of them cannot be done.
   */
  prove(): Promise<void>;
  /** For bootstrap: makes the bucket or folder where it is missing; true when it was made. */
  ensure(): Promise<boolean>;
  close(): void;
}

export interface ObjectHead {
  bytes: number;
  /** Differs when the content does. */
  etag: string;
  metadata: Record<string, string>;
}

export interface SignedUrlOptions {
  filename: string;
  contentType: string;
  ttlMs: number;
}

/** Opens the store that the settings name; the SDK loads on first use. Null when there is none. */
export function openObjectStore(settings: S3Settings, folder?: string): ObjectStore | null {
  if (settings.S3_ENDPOINT !== undefined) return openS3Store(settings);
  return folder === undefined ? null : openFolderStore(folder);
}
