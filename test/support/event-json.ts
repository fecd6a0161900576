import { randomUUID } from 'node:crypto';

/** A usage event as a producer would write it, before it is JSON. */
export interface EventJson extends Record<string, unknown> {
  eventId: string;
  orgId: string;
  modelId: string;
  occurredAt: string;
}

/** A valid event with what every event must have, an hour ago; `over` replaces or adds fields. */
export function eventJson<More extends Record<string, unknown>>(
  over: More = {} as More,
): EventJson & More {
  return {
    eventId: randomUUID(),
    orgId: randomUUID(),
    modelId: randomUUID(),
    occurredAt: new Date(Date.now() - 3_600_000).toISOString(),
    latencyMs: 120,
    status: 'success',
    inputTokens: 10,
    outputTokens: 20,
    costEstimateCents: 1.25,
    ...over,
  };
}

/** A POST of a JSON body by an actor. */
export function jsonPost(
  body: unknown,
  headers: Record<string, string>,
  contentType = 'application/json',
): RequestInit {
  return {
    method: 'POST',
    headers: { 'Content-Type': contentType, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  };
}

/** The headers by which the gateway names an actor. */
export function actorHeaders(
  roles: readonly string[],
  orgs: readonly string[] = [],
): Record<string, string> {
  return {
    'X-Actor-Subject': 'test-actor',
    'X-Actor-Roles': roles.join(','),
    'X-Actor-Orgs': orgs.join(','),
  };
}
