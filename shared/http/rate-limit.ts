import type { Context, MiddlewareHandler } from 'hono';
import type { Actor } from '../access.ts';
import { ServiceError } from '../platform/errors.ts';
import { audit } from './audit.ts';
import type { AppEnv } from './context.ts';
import { problem } from './problem.ts';

const windowMs = 60_000;

/** More than so many actors in a minute are not counted apart: those asked longest ago start anew. */
const actorsKeptMax = 10_000;

interface Window {
  count: number;
  endsAtMs: number;
  refused: number;
}

/**
 * Lets an actor ask `perMinute` times in each minute, counted from its first request; 0 is no limit.
 * The answers say how much is left (draft-ietf-httpapi-ratelimit-headers).
 *
 * Counted in this process, so behind N replicas an actor has N times as much at most. In Redis they
 * would share it, but every request would wait for a round trip more (on a busy machine 0.1 ms, one
 * in a hundred 8 ms), a cold start for the client (0.5 s there), and four of the five functions that
 * answer people need no Redis otherwise. What is guarded is the process and its share of the
 * database, not a quota that somebody is billed for.
 *
 * A flood must not become one of audit lines: the first refusal of a window leaves one, and the end
 * of the window another that says how many there were.
 */
export function limitRate(perMinute: number, actorsMax = actorsKeptMax): MiddlewareHandler<AppEnv> {
  const windows = new Map<string, Window>();

  function count(subject: string, nowMs: number): Window {
    const current = windows.get(subject);
    if (current !== undefined && current.endsAtMs > nowMs) {
      current.count += 1;
      return current;
    }
    const started = { count: 1, endsAtMs: nowMs + windowMs, refused: 0 };
    // Put at the end: the map stays in the order in which windows end.
    windows.delete(subject);
    windows.set(subject, started);
    for (const [oldest, { endsAtMs }] of windows) {
      if (endsAtMs > nowMs && windows.size <= actorsMax) break;
      windows.delete(oldest);
    }
    return started;
  }

  function noteRefusal(context: Context<AppEnv>, actor: Actor, window: Window): void {
    window.refused += 1;
    if (window.refused > 1) return;
    const note = (reason: string) =>
      audit(context, { actor, action: 'rate:limit', orgId: null, allowed: false, reason });
    note(`more than ${perMinute} requests in a minute`);
    const noteRest = () => {
      if (window.refused > 1) {
        note(`more than ${perMinute} requests in a minute: ${window.refused} were refused`);
      }
    };
    // Keeps no process alive: one that ends before has said of whom it was too much.
    setTimeout(noteRest, window.endsAtMs - Date.now()).unref();
  }

  return async function limitRate(context, next) {
    const { actor } = context.var;
    // Who is nobody is refused, or asks what is open to all.
    if (perMinute === 0 || actor instanceof ServiceError) return next();
    const nowMs = Date.now();
    const window = count(actor.subject, nowMs);
    const { count: asked, endsAtMs } = window;
    const resetSeconds = Math.ceil((endsAtMs - nowMs) / 1_000);
    const isOver = asked > perMinute;
    if (!isOver) await next();
    else {
      noteRefusal(context, actor, window);
      const detail = `more than ${perMinute} requests in a minute: ask again in ${resetSeconds} s`;
      context.res = problem(context, 'rate_limited', detail);
      context.header('Retry-After', String(resetSeconds));
    }
    context.header('RateLimit-Policy', `"actor";q=${perMinute};w=${windowMs / 1_000}`);
    context.header('RateLimit', `"actor";r=${Math.max(perMinute - asked, 0)};t=${resetSeconds}`);
    return undefined;
  };
}
