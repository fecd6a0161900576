import { setTimeout as sleep } from 'node:timers/promises';
import { type Actor, actorHeaders } from '../cli/actor.ts';
import { causeOf } from '../publish/http-target.ts';
import { retryAfterMs } from '../publish/retry.ts';
import { type Answer, excerpt, isApi, mayPass } from './answer.ts';
import { CheckFailure } from './check.ts';

const answerMs = 5_000;
/** A function at zero has to start, and one just started to connect to what a path needs. */
const firstAnswerMs = 10_000;
/** As any client of the API should: what a gateway or a store refuses for now is sent again. */
const patienceMs = 20_000;
/** With less time left, another try would only fail for the want of it. */
const tryMs = 1_000;

interface Question {
  method?: 'GET' | 'POST';
  /** Null asks without an actor. */
  as: Actor | null;
  /** JSON text. */
  body?: string;
}

/** The API as somebody outside sees it. Follows no redirect, so that no header goes astray. */
export interface Api {
  /**
   * Asks at a path below /analytics/v1, and again for up to twenty seconds while the answer is
   * that something is not ready. An answer has five seconds, the first one of a path ten.
   *
   * @throws CheckFailure when nothing answers in time
   */
  ask(path: string, question: Question): Promise<Answer>;
  /** A GET of any address, with no header but those that are given. Throws as `ask` does. */
  fetch(url: URL, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** Whether anything has ever answered. */
  hasAnswered(): boolean;
}

/**
 * @param runName begins every X-Request-Id
 * @param say takes a line for each request and each answer
 */
export function openApi(url: string, runName: string, say: (line: string) => void): Api {
  const asked = new Set<string>();
  let requests = 0;
  let hasAnswered = false;

  async function send(target: URL, init: RequestInit, limitMs: number): Promise<Answer> {
    const id = new Headers(init.headers).get('X-Request-Id');
    const words = (place: string) =>
      `${init.method ?? 'GET'} ${place}${id === null ? '' : ` ${id}`}`;
    // A signed link is a key to the file: its query is nobody's business.
    const request = words(id === null ? target.origin + target.pathname : target.pathname);
    say(`> ${id === null ? request : words(target.href)}`);
    const startedMs = performance.now();
    const tookMs = () => Math.round(performance.now() - startedMs);
    try {
      const signal = AbortSignal.timeout(limitMs);
      const response = await fetch(target, { ...init, redirect: 'manual', signal });
      const body = Buffer.from(await response.arrayBuffer());
      hasAnswered = true;
      say(`< ${response.status} ${tookMs()} ms ${excerpt(body)}`.trimEnd());
      return { url: target, request, status: response.status, headers: response.headers, body };
    } catch (error) {
      const isLate = error instanceof DOMException && error.name === 'TimeoutError';
      const came = isLate ? `none within ${limitMs} ms` : causeOf(error);
      say(`< ${came} after ${tookMs()} ms`);
      throw new CheckFailure({
        expected: 'an answer',
        came,
        section: 'function',
        ...(hasAnswered ? {} : { hint: isApi }),
        request,
        mayPass: true,
      });
    }
  }

  return {
    ask: async (path, { method = 'GET', as, body }) => {
      const place = `${method} ${path.split('?')[0]}`;
      const isFirst = !asked.has(place);
      asked.add(place);
      const deadline = performance.now() + patienceMs;
      let limitMs = isFirst ? firstAnswerMs : answerMs;
      for (;;) {
        requests += 1;
        const headers = {
          'X-Request-Id': `${runName}-${requests}`,
          ...(as === null ? {} : actorHeaders(as)),
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        };
        const init = { method, headers, ...(body === undefined ? {} : { body }) };
        const answer = await send(new URL(`${url}/analytics/v1${path}`), init, limitMs);
        if (!mayPass(answer)) return answer;
        const waitMs = retryAfterMs(answer.headers.get('Retry-After'), Date.now()) ?? 1_000;
        limitMs = Math.min(limitMs, Math.floor(deadline - performance.now() - waitMs));
        if (limitMs < tryMs) return answer;
        await sleep(waitMs);
      }
    },
    fetch: (target, headers = {}) => send(target, { headers }, answerMs),
    hasAnswered: () => hasAnswered,
  };
}
