/** What one model or client did in each bucket of a window. */
export interface Group<Sums> {
  /** Model or client id; empty for events without a client. Null for all the others together. */
  key: string | null;
  total: Sums;
  /** One for each bucket; null where nothing happened. */
  points: readonly (Sums | null)[];
}

export interface Point<Sums> {
  atMs: number;
  key: string;
  sums: Sums;
}

/** Puts the sparse points of a series into the buckets of their window. */
export function groupPoints<Sums>(
  points: readonly Point<Sums>[],
  bucketStarts: readonly number[],
  add: (one: Sums, other: Sums) => Sums,
): Group<Sums>[] {
  const places = new Map(bucketStarts.map((ms, index) => [ms, index]));
  const groups = new Map<string, { total: Sums | null; points: (Sums | null)[] }>();
  for (const { atMs, key, sums } of points) {
    const place = places.get(atMs);
    if (place === undefined) continue;
    let group = groups.get(key);
    if (group === undefined) {
      group = { total: null, points: bucketStarts.map(() => null) };
      groups.set(key, group);
    }
    group.points[place] = sum(group.points[place] ?? null, sums, add);
    group.total = sum(group.total, sums, add);
  }
  return [...groups].flatMap(([key, { total, points: found }]) =>
    total === null ? [] : [{ key, total, points: found }],
  );
}

/** The largest groups, largest first, and all others as one. */
export function topGroups<Sums>(
  groups: readonly Group<Sums>[],
  weight: (sums: Sums) => number,
  countMax: number,
  add: (one: Sums, other: Sums) => Sums,
): Group<Sums>[] {
  const ordered = groups.toSorted((a, b) => weight(b.total) - weight(a.total));
  // One other alone is better named.
  const isAll = ordered.length <= countMax + 1;
  const shown = isAll ? ordered : ordered.slice(0, countMax);
  const [first, ...rest] = isAll ? [] : ordered.slice(countMax);
  if (first === undefined) return shown;
  const other = rest.reduce<Group<Sums>>(
    (all, group) => ({
      key: null,
      total: add(all.total, group.total),
      points: all.points.map((one, index) => merged(one, group.points[index] ?? null, add)),
    }),
    { ...first, key: null },
  );
  return [...shown, other];
}

function sum<Sums>(one: Sums | null, other: Sums, add: (one: Sums, other: Sums) => Sums): Sums {
  return one === null ? other : add(one, other);
}

function merged<Sums>(
  one: Sums | null,
  other: Sums | null,
  add: (one: Sums, other: Sums) => Sums,
): Sums | null {
  return other === null ? one : sum(one, other, add);
}
