import type * as z from 'zod';
import type { Role } from '../access.ts';
import type { ErrorCode, Fault } from '../platform/errors.ts';

/** What the API's parts are called, in the order in which they are read. */
export const tags = {
  Usage: 'What was used, by whom, and what it cost.',
  Reliability: 'Error rates, status counts, latency percentiles and the most frequent errors.',
  Freshness: 'Up to when the numbers are complete.',
  Events: 'Usage events come in, plain or as CloudEvents.',
  Exports: 'Files for finance and for incidents, made in the background.',
  Status: 'Whether the service is well, and what it can be asked.',
} as const;

/** A route as the function that serves it describes it. */
export interface Operation {
  method: 'get' | 'post';
  /** Below the base path, such as `/orgs/{orgId}/usage`. */
  path: string;
  operationId: string;
  tag: keyof typeof tags;
  summary: string;
  description: string;
  /** Roles that open it, each alone; `admin` always does. Or any actor, or everybody. */
  access: readonly Role[] | 'any actor' | 'everybody';
  /** By name: the shape of the schema that the function parses them with. */
  query?: Readonly<Record<string, z.ZodType>>;
  /** Values of required query parameters that are worth trying. */
  example?: Readonly<Record<string, string>>;
  /** Request headers beside those that name the actor. */
  headers?: Readonly<Record<string, z.ZodType>>;
  /** By media type. */
  body?: Readonly<Record<string, Content>>;
  /** The most that a body may have. */
  bodyMaxBytes?: number;
  /** By status: what is answered unless the request is refused. */
  answers: Readonly<Record<number, Answer>>;
  /** What is refused beside what all operations with an actor or a body refuse, with an example. */
  refusals: Readonly<Partial<Record<ErrorCode, Refusal>>>;
  /** What a refusal holds, where that may be more than a problem. */
  problem?: z.ZodType;
  /** Whether it needs a store, which may be away or fail. */
  usesStores: boolean;
}

/** What is sent or answered as one media type. */
export interface Content {
  schema: z.ZodType;
  examples: Readonly<Record<string, unknown>>;
}

export interface Answer {
  description: string;
  /** By media type; nothing for an answer without a body. */
  content?: Readonly<Record<string, Content>>;
  /** Response headers beside those that every answer has, by name: what each says. */
  headers?: Readonly<Record<string, string>>;
}

export interface Refusal {
  detail: string;
  errors?: readonly Fault[];
  /** Members of this problem's own. */
  [more: string]: unknown;
}
