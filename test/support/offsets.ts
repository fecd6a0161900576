import type { Queryable } from '../../shared/platform/database/db.ts';

export interface OffsetRow {
  owner: string | null;
  epoch: number;
  committed_offset: number | null;
  head_offset: number | null;
  complete_through: Date | null;
  events_stored: number;
  events_duplicate: number;
  events_conflicting: number;
  events_rejected: number;
}

/** What is written down about a stream, or undefined before anybody claimed it. */
export async function offsetRow(
  database: Queryable,
  stream: string,
): Promise<OffsetRow | undefined> {
  const [row] = await database.query<OffsetRow>(
    `select owner, epoch, committed_offset, head_offset, complete_through, events_stored,
            events_duplicate, events_conflicting, events_rejected
     from analytics.stream_offsets where stream = $1`,
    [stream],
  );
  return row;
}
