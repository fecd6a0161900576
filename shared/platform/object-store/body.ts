/** What is being put into a store. */
export interface StoreBody {
  chunks: AsyncIterable<Uint8Array>;
  /** How many bytes were handed over so far. */
  bytes: number;
  /** Why the chunks ended early, where that was the body's or the signal's doing, not the store's. */
  failure: { reason: unknown } | undefined;
}

/**
 * Counts a body's chunks and ends them when the signal aborts, even while the body is waiting for
 * something that never comes.
 */
export function storeBody(
  body: AsyncIterable<Uint8Array> | Uint8Array,
  signal?: AbortSignal,
): StoreBody {
  const source: StoreBody = { chunks: count(), bytes: 0, failure: undefined };
  async function* count(): AsyncGenerator<Uint8Array> {
    const iterator = (body instanceof Uint8Array ? once(body) : body)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { done, value } = await nextUnlessAborted(iterator, signal).catch((reason) => {
          source.failure = { reason };
          throw reason;
        });
        if (done === true) return;
        source.bytes += value.byteLength;
        yield value;
      }
    } finally {
      // What goes wrong in a body that is broken off has no one to hear it.
      const ended = Promise.resolve(iterator.return?.()).catch(() => {});
      // Cut off by the signal, the body may still be waiting and never get to its end.
      if (signal?.aborted !== true) await ended;
    }
  }
  return source;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

// Not Promise.race with one promise for the abort: that would keep every chunk until the end.
function nextUnlessAborted(
  iterator: AsyncIterator<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<IteratorResult<Uint8Array>> {
  if (signal === undefined) return iterator.next();
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    iterator
      .next()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** @throws TypeError for what S3 would change or refuse on its way through HTTP headers. */
export function checkMetadata(metadata: Record<string, string>): void {
  for (const [name, value] of Object.entries(metadata)) {
    if (!/^[a-z0-9-]+$/.test(name)) throw new TypeError(`metadata cannot be named ${name}`);
    if (!/^([!-~]([ -~]*[!-~])?)?$/.test(value)) {
      throw new TypeError(`metadata ${name} is not printable ASCII`);
    }
  }
}
