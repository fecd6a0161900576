import { intoMetadata, type Setter, type TargetName, targets } from './targets.ts';

/** What a column of another system's file is here. */
export type Meaning =
  | { to: TargetName }
  /** Of several such columns all are read. */
  | { set: Setter }
  /** Text that has no field of its own in an event. */
  | { metadata: string }
  /** Not taken: why, in a few words. */
  | { leftOut: string };

/** How the files of another system are read. */
export interface Mapping {
  name: string;
  /** A file is of this kind where it has, of each of these, at least one column. */
  knownBy: readonly (readonly string[])[];
  /** Column names in any case, with or without `_`, `-` and spaces. */
  columns: Readonly<Record<string, Meaning>>;
  /** Times count from the start of the trace: they have no date until they are moved to one. */
  isRelative?: boolean;
  /** For people, before the first row is sent. */
  note?: string;
}

/** `eventId`, `event_id`, `Event-ID` and `EVENT ID` are one name. */
export function bare(name: string): string {
  return name.toLowerCase().replace(/[\s_-]/g, '');
}

/** The slot that a meaning fills, and how. Undefined for what is left out. */
export function setterOf(meaning: Meaning): { slot: string; set: Setter } | undefined {
  if ('to' in meaning) return targets[meaning.to];
  if ('set' in meaning) return { slot: '', set: meaning.set };
  if ('metadata' in meaning) {
    return { slot: `metadata.${meaning.metadata}`, set: intoMetadata(meaning.metadata) };
  }
  return undefined;
}
