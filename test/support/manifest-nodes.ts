/** A value somewhere in a manifest. */
export interface Node {
  /** From the object's root, such as `/spec/containers/0/image`; a `/` in a key stays as it is. */
  path: string;
  value: unknown;
}

/** Every value in a manifest, each before what it holds. */
export function* nodesOf(value: unknown, path = ''): Generator<Node> {
  yield { path, value };
  if (typeof value !== 'object' || value === null) return;
  for (const [key, child] of Object.entries(value)) yield* nodesOf(child, `${path}/${key}`);
}
