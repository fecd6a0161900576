import * as z from 'zod/mini';

/**
 * Who the page asks as. Deployed, the gateway in front knows, or a token says so that the reader
 * pasted; in development the page may claim to be anybody. Both are gone with the tab.
 */

const devActor = z.object({ subject: z.string(), roles: z.string(), orgs: z.string() });
export type DevActor = z.infer<typeof devActor>;

const tokenKey = 'console.token';
const actorKey = 'console.actor';

export function token(): string | null {
  return sessionStorage.getItem(tokenKey);
}

export function signIn(text: string): void {
  sessionStorage.setItem(tokenKey, text.trim().replace(/^Bearer\s+/i, ''));
}

export function signOut(): void {
  sessionStorage.removeItem(tokenKey);
}

export function chosenActor(): DevActor | null {
  const text = sessionStorage.getItem(actorKey);
  if (text === null) return null;
  try {
    return devActor.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

export function chooseActor(actor: DevActor): void {
  sessionStorage.setItem(actorKey, JSON.stringify(actor));
}

/** What goes along with each request. A gateway that knows better replaces these. */
export function identityHeaders(): Record<string, string> {
  const bearer = token();
  if (bearer !== null) return { Authorization: `Bearer ${bearer}` };
  const actor = chosenActor();
  if (actor === null) return {};
  return {
    'X-Actor-Subject': actor.subject,
    ...(actor.roles === '' ? {} : { 'X-Actor-Roles': actor.roles }),
    ...(actor.orgs === '' ? {} : { 'X-Actor-Orgs': actor.orgs }),
  };
}
