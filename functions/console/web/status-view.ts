import type { Freshness } from './answers.ts';
import { ApiError } from './api.ts';
import { button, el } from './dom.ts';
import { spanText, timeText } from './format.ts';

/** What is shown instead of numbers, or beside them: how fresh, why none, what to do. */

const slowAfterMs = 3_000;

export interface Remedies {
  retry(): void;
  signIn(): void;
}

/**
 * Shows in `host` what `task` brings, and until then that it is on its way. What is there stays,
 * dimmed, so that nothing jumps. A wait that is long says so and can be given up.
 *
 * @param signal ends it in silence: something else is to be shown
 */
export async function fill(
  host: HTMLElement,
  signal: AbortSignal,
  remedies: Remedies,
  task: (signal: AbortSignal) => Promise<Node>,
): Promise<void> {
  const cancelled = new AbortController();
  const slow = el('div', { class: 'notice slow', role: 'status' });
  if (host.childElementCount === 0) host.append(skeleton());
  host.setAttribute('aria-busy', 'true');
  const timer = setTimeout(() => {
    slow.append(
      el('span', {}, 'The API is slow to answer. Still waiting…'),
      button('Cancel', () => cancelled.abort()),
    );
    host.prepend(slow);
  }, slowAfterMs);
  try {
    const content = await task(AbortSignal.any([signal, cancelled.signal]));
    if (!signal.aborted) host.replaceChildren(content);
  } catch (error) {
    if (signal.aborted) return;
    host.replaceChildren(
      cancelled.signal.aborted ? cancelledBox(remedies) : errorBox(error, remedies),
    );
  } finally {
    clearTimeout(timer);
    slow.remove();
    if (!signal.aborted) host.removeAttribute('aria-busy');
  }
}

function skeleton(): HTMLElement {
  return el(
    'div',
    { class: 'skeleton' },
    el('span', { class: 'sr-only' }, 'Loading'),
    el('div', { class: 'tiles' }, ...Array.from({ length: 4 }, () => el('div', { class: 'tile' }))),
    el('div', { class: 'panel' }),
  );
}

/** A box that says what is the matter, with the ways out as its buttons. */
export function messageBox(
  kind: 'error' | 'forbidden' | 'empty',
  title: string,
  texts: readonly string[],
  ...actions: HTMLElement[]
): HTMLElement {
  return el(
    'section',
    { class: `message ${kind}`, role: kind === 'empty' ? null : 'alert' },
    el('h2', {}, title),
    ...texts.map((text) => el('p', {}, text)),
    actions.length > 0 && el('div', { class: 'actions' }, ...actions),
  );
}

function cancelledBox({ retry }: Remedies): HTMLElement {
  const advice = 'Nothing was loaded. A shorter window or fewer models are answered sooner.';
  return messageBox('error', 'You stopped waiting', [advice], button('Ask again', retry));
}

/** What went wrong, in the API's own words, and what helps. */
export function errorBox(error: unknown, remedies: Remedies): HTMLElement {
  if (!(error instanceof ApiError)) {
    console.error(error);
    const detail = error instanceof Error ? error.message : String(error);
    return messageBox('error', 'This page made a mistake', [detail], again('Try again', remedies));
  }
  const { title, message, status, retryAfterSeconds, requestId } = error;
  const quoted = requestId === null || status < 500 ? [] : [`Request ${requestId}`];
  if (status === 401) {
    const advice = 'Sign in anew: paste a fresh token, or sign in at your gateway and reload.';
    const signIn = button('Sign in', remedies.signIn, { class: 'primary' });
    return messageBox(
      'error',
      title,
      [sentence(message), advice],
      signIn,
      again('Try again', remedies),
    );
  }
  if (status === 403) {
    const advice =
      'Choose another organisation above, or ask whoever manages access for what is missing.';
    return messageBox(
      'forbidden',
      title,
      [sentence(message), advice],
      button('Who am I?', remedies.signIn),
      again('Try again', remedies),
    );
  }
  if (status === 400) {
    const advice = 'Change the filters above, or choose another organisation.';
    return messageBox('error', title, [sentence(message), advice], again('Try again', remedies));
  }
  const retry =
    retryAfterSeconds === null ? again('Try again', remedies) : later(retryAfterSeconds, remedies);
  return messageBox('error', title, [sentence(message), ...quoted], retry);
}

function again(label: string, { retry }: Remedies): HTMLButtonElement {
  return button(label, retry);
}

/** Waits for as long as the API asks to, then asks again by itself, once. */
function later(seconds: number, { retry }: Remedies): HTMLElement {
  const now = again('Try now', { retry, signIn: () => {} });
  const text = el('span', { class: 'muted' });
  const box = el('span', { class: 'actions' }, now, text);
  let left = Math.min(Math.max(Math.ceil(seconds), 1), 600);
  const tick = () => {
    // It is put on the page after the first time; gone from it, something else is shown.
    if (text.textContent !== '' && !box.isConnected) return;
    if (left === 0) return retry();
    text.textContent = `Trying again in ${left} s`;
    // A tab that nobody looks at asks nothing.
    if (!document.hidden) left -= 1;
    setTimeout(tick, 1_000);
  };
  tick();
  return box;
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}

/** Why there is no comparison though one is wanted. */
export function comparisonNote(before: object | null, answer: object | null): HTMLElement | null {
  if (before === null || answer !== null) return null;
  const words = 'The previous period is older than what is kept: there is nothing to compare with.';
  return el('p', { class: 'muted' }, words);
}

const freshnessWords = {
  fresh: 'Fresh',
  stale: 'Stale',
  delayed: 'Delayed',
  empty: 'Empty',
} as const;

/** How complete the numbers are, as the API says. */
export function freshnessBadge(freshness: Freshness, timeZone: string): HTMLElement {
  const { status, lagSeconds, completeThrough, lastEventAt, lastRollupAt } = freshness;
  const time = (ms: number | null) => (ms === null ? 'never' : timeText(ms, timeZone));
  const facts = [
    ['Complete through', time(completeThrough)],
    ['Lag', lagSeconds === null ? 'unknown' : `${lagSeconds} s`],
    ['Last event', time(lastEventAt)],
    ['Last rollup', time(lastRollupAt)],
  ] as const;
  const summary =
    status === 'empty'
      ? 'no event has ever arrived'
      : completeThrough === null
        ? 'not known how complete'
        : `complete through ${time(completeThrough)}${lagSeconds === null ? '' : `, ${spanText(lagSeconds)} ago`}`;
  return el(
    'details',
    { class: `freshness ${status}` },
    el(
      'summary',
      {},
      el('span', { class: 'dot' }),
      el('b', {}, freshnessWords[status]),
      `, ${summary}`,
    ),
    el('dl', {}, ...facts.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])),
  );
}
