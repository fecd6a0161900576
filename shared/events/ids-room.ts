import { type RecentIds, recentIds } from './recent-ids.ts';

/** A process's ids, for all of the partitions that it has. */
export interface IdsRoom {
  open(): RecentIds;
  close(ids: RecentIds): void;
  /** Ids forgotten within their hour since this was last asked, and how old one of them was. */
  takeForgotten(): { ids: number; ageMs: number };
}

/** 27 MB: a consumer has 256 MiB, and comes to 182 MB without them. An hour of 277 events/s. */
const processIdsMax = 1_000_000;

/** Each partition has an equal share, so that a busy one does not make others forget. */
export function idsRoom(idsMax = processIdsMax): IdsRoom {
  /** With how many of their early forgotten ids are told. */
  const opened = new Map<RecentIds, number>();
  let forgotten = { ids: 0, ageMs: Number.POSITIVE_INFINITY };
  const share = (parts: number) => Math.max(1, Math.floor(idsMax / parts));
  const divide = () => {
    for (const ids of opened.keys()) ids.limit(share(opened.size));
  };
  const note = (ids: RecentIds, told: number) => {
    if (ids.forgottenEarly === told) return;
    forgotten.ids += ids.forgottenEarly - told;
    forgotten.ageMs = Math.min(forgotten.ageMs, ids.forgottenAtAgeMs);
  };
  return {
    open: () => {
      const ids = recentIds(share(opened.size + 1));
      opened.set(ids, 0);
      divide();
      return ids;
    },
    close: (ids) => {
      note(ids, opened.get(ids) ?? 0);
      opened.delete(ids);
      divide();
    },
    takeForgotten: () => {
      for (const [ids, told] of opened) {
        note(ids, told);
        opened.set(ids, ids.forgottenEarly);
      }
      const taken = forgotten;
      forgotten = { ids: 0, ageMs: Number.POSITIVE_INFINITY };
      return taken;
    },
  };
}
