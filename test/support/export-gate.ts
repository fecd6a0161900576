import type { ObjectStore } from '../../shared/platform/object-store/object-store.ts';

export interface Gate {
  /** Resolves once somebody stands before it. */
  reached: Promise<void>;
  open(): void;
  pass(): Promise<void>;
}

export function createGate(): Gate {
  let arrive = () => {};
  let open = () => {};
  const reached = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return {
    reached,
    open: () => open(),
    pass: () => {
      arrive();
      return opened;
    },
  };
}

/**
 * A store whose files wait at a gate once so many of their bytes were handed over, or at their end:
 * all that is left then is to make the file visible.
 */
export function holdFile(gate: Gate, atBytes: number | 'end'): (store: ObjectStore) => ObjectStore {
  return (store) => ({
    ...store,
    put: (key, body, options) =>
      store.put(key, body instanceof Uint8Array ? body : held(body, gate, atBytes), options),
  });
}

async function* held(
  body: AsyncIterable<Uint8Array>,
  gate: Gate,
  atBytes: number | 'end',
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  let isHeld = false;
  for await (const chunk of body) {
    yield chunk;
    bytes += chunk.length;
    if (atBytes === 'end' || bytes < atBytes || isHeld) continue;
    isHeld = true;
    await gate.pass();
  }
  if (atBytes === 'end') await gate.pass();
}

/** A store whose manifests wait at a gate: the file beside them is there already. */
export function holdManifest(gate: Gate): (store: ObjectStore) => ObjectStore {
  return (store) => ({
    ...store,
    put: async (key, body, options) => {
      if (body instanceof Uint8Array) await gate.pass();
      return store.put(key, body, options);
    },
  });
}
