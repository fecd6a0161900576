import { inject } from 'vitest';

/** Relays that stand for hosted servers, in front of the real ones. Only the project `hosted` has them. */
export interface Hosted {
  /** The relay's address is what `neonConfig.wsProxy` wants. */
  neon: { relay: string; user: string; password: string };
  /** An Upstash relay, as the service's settings want it. */
  upstash: { REDIS_URL: string; REDIS_TOKEN: string };
}

declare module 'vitest' {
  export interface ProvidedContext {
    hosted?: Hosted;
  }
}

/**
 * With it a host's name is one of Neon's, so that the service chooses Neon's driver by itself, and
 * with its empty label it is a name that no resolver knows: what does not go through the relay
 * fails.
 */
const suffix = '..neon.tech';

/** Whether this file runs in the project `hosted`. */
export function isHosted(): boolean {
  return inject('hosted') !== undefined;
}

/** A database's address for the code under test: at Neon in the project `hosted`. */
export function hostedDatabaseUrl(url: string): string {
  const neon = inject('hosted')?.neon;
  if (neon === undefined) return url;
  const address = new URL(url);
  address.hostname += suffix;
  address.username = neon.user;
  address.password = neon.password;
  return address.href;
}

/** The same database without the detour, for a session that a test holds beside the service. */
export function directDatabaseUrl(url = ''): string {
  const address = new URL(url);
  address.hostname = directHost(address.hostname);
  return address.href;
}

/** Where a host is really, which is all that the relay has to know. */
export function directHost(host: string): string {
  return host.endsWith(suffix) ? host.slice(0, -suffix.length) : host;
}

/** The cache's settings: Upstash in the project `hosted`, else none. */
export function hostedCache(): Record<string, string> {
  return { ...inject('hosted')?.upstash };
}
