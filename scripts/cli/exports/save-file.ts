import { createHash } from 'node:crypto';
import { type FileHandle, link, lstat, open, rename, rm } from 'node:fs/promises';
import { causeOf } from '../../publish/http-target.ts';
import { UsageError } from '../failure.ts';

/** The way to the file failed, not the file: it may be tried again. */
export class FileFault extends Error {
  override name = 'FileFault';
}

/** A connection that brings nothing for so long is given up. */
const idleMs = 30_000;

/**
 * Writes a file that only its owner may read: first beside its place, as `.part`, and there only
 * once `write` is through. What fails leaves nothing behind.
 *
 * @throws UsageError where there is a file already, unless it is to be written over
 */
export async function saveFile(
  path: string,
  force: boolean,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  await refuseTaken(path, force);
  const part = `${path}.part`;
  // Of a run that was killed. Made anew rather than opened: it may be a link to elsewhere.
  await rm(part, { force: true });
  const file = await open(part, 'wx', 0o600);
  try {
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    if (force) await rename(part, path);
    else if (!(await placed(part, path))) throw taken(path);
  } finally {
    await rm(part, { force: true });
  }
}

/** @throws UsageError where there is a file already, unless it is to be written over */
export async function refuseTaken(path: string, force: boolean): Promise<void> {
  if (!force && (await exists(path))) throw taken(path);
}

function taken(path: string): UsageError {
  return new UsageError(`${path} is there already: --force writes over it`);
}

/** Unlike a rename a link does not replace what somebody has put there meanwhile. */
async function placed(part: string, path: string): Promise<boolean> {
  try {
    await link(part, path);
    return true;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (code === 'EEXIST') return false;
    // File systems without links, such as those of memory cards.
    if (code !== 'EPERM' && code !== 'ENOTSUP') throw error;
  }
  if (await exists(path)) return false;
  await rename(part, path);
  return true;
}

/**
 * Fetches a file from its start, without a header of ours: the link itself is the key.
 *
 * @throws FileFault when the way breaks; Error when what came is not what was expected
 */
export async function fetchFile(
  from: URL,
  to: FileHandle,
  expected: { bytes: number; checksum: string },
  onBytes: (bytes: number) => void,
): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of chunksOf(from)) {
    await to.appendFile(chunk);
    bytes += chunk.length;
    if (bytes > expected.bytes) break;
    hash.update(chunk);
    onBytes(bytes);
  }
  if (bytes < expected.bytes) {
    throw new FileFault(`it ended after ${bytes} of ${expected.bytes} bytes`);
  }
  const checksum = bytes > expected.bytes ? 'of a longer file' : hash.digest('hex');
  if (checksum === expected.checksum) return;
  throw new Error(
    `the file is not the export's: SHA-256 ${checksum}, not ${expected.checksum}. Nothing was ` +
      'saved; ask for the export anew, and tell who runs the service',
  );
}

async function* chunksOf(from: URL): AsyncGenerator<Uint8Array> {
  const idle = new AbortController();
  const giveUp = () => idle.abort(new Error(`nothing came for ${idleMs / 1_000} s`));
  let timer = setTimeout(giveUp, idleMs);
  try {
    const response = await fetch(from, { signal: idle.signal, redirect: 'error' });
    if (response.status !== 200 || response.body === null) {
      throw new Error(`the object store answered ${response.status}`);
    }
    for await (const chunk of response.body) {
      clearTimeout(timer);
      yield chunk;
      timer = setTimeout(giveUp, idleMs);
    }
  } catch (error) {
    throw new FileFault(causeOf(error));
  } finally {
    clearTimeout(timer);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}
