/**
 * What schemathesis has against the service, and why it stays. Anything else is a fault.
 *
 * `ST202` is a request that the document allows and the service refuses. A schema says what one value
 * may be: what two of them must be to each other, or to the service's settings, it cannot say.
 */
export interface KnownComplaint {
  code: string;
  operation: RegExp;
  /** Of the answer that it is about. */
  detail: RegExp;
  reason: string;
}

export const knownComplaints: readonly KnownComplaint[] = [
  {
    code: 'ST202',
    operation: /^GET \/orgs\/\{orgId\}\/(usage|reliability)$|^GET \/orgs$/,
    detail: /^(start|end|granularity|groupBy|timezone|timeZone|\d+ problems found)/,
    reason:
      'a window: its end is after its start, it is no longer than what is kept, in so many points',
  },
  {
    code: 'ST202',
    operation: /^GET \/(orgs\/\{orgId\}\/)?exports$|^GET \/orgs$/,
    detail: /^cursor must be the nextCursor of an earlier answer$/,
    reason: 'a cursor is what an answer gave, not any text',
  },
  {
    code: 'ST202',
    operation: /^POST \/(orgs\/\{orgId\}\/)?exports$|^Stateful tests$/,
    detail: /^(delivery\.bucket must be|timeRange|orgs?\b|\d+ problems found)/,
    reason: 'the bucket is the one that is configured, and a range is one of past days',
  },
  {
    code: 'ST202',
    operation: /^POST \/events(\/validate)?$/,
    detail: /^nothing was accepted: |problems? found|must be|must have|must not/,
    reason:
      "an event's joint rules: costs add up, an error code only beside a failure, id and subject of a CloudEvent are its data's",
  },
  {
    code: 'ST401',
    operation: /^POST \/events\/validate$/,
    detail: /^/,
    reason: 'in gateway mode any subject is an actor, and any actor may validate',
  },
  {
    code: 'ST202',
    operation: /^Stateful tests$/,
    detail: /^orgId must be a uuid$/,
    reason: "the tool's own: it takes an org of null, of an export over all orgs, for a path's org",
  },
];
