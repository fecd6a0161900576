import type { TestProject } from 'vitest/node';
import { createCheapLogin } from './cheap-login.ts';
import { directHost } from './hosted.ts';
import { startUpstashRelay } from './upstash-relay.ts';
import { startWebSocketRelay } from './websocket-relay.ts';

/** Runs after global-setup, and puts the relays in front of the servers that it has found. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { DATABASE_URL, REDIS_URL } = project.getProvidedContext().services;
  const login = await createCheapLogin(DATABASE_URL);
  const neon = await startWebSocketRelay(directHost);
  const upstash = await startUpstashRelay(REDIS_URL);
  project.provide('hosted', {
    neon: { relay: neon.address, user: login.user, password: login.password },
    upstash: { REDIS_URL: upstash.url, REDIS_TOKEN: upstash.token },
  });
  return async () => {
    await upstash.stop();
    await neon.stop();
    await login.drop();
  };
}
