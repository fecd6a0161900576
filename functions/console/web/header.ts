import type { Config } from './answers.ts';
import { button, el, select } from './dom.ts';
import type { Org } from './orgs.ts';
import type { ConsoleState, View } from './state.ts';
import { themeButton } from './theme-button.ts';

export const viewNames: Readonly<Record<View, string>> = {
  usage: 'Usage & spend',
  reliability: 'Reliability',
  exports: 'Exports',
};

export interface HeaderOptions {
  state: ConsoleState;
  config: Config | null;
  orgs: readonly Org[];
  org: string | null;
  /** The address of a view, with the filters of this one. */
  addressOf(view: View): string;
  go(change: Partial<ConsoleState>): void;
  openIdentity(): void;
}

/** The views, the org, who is looking, and the theme. */
export function header(options: HeaderOptions): HTMLElement[] {
  const { state, config, orgs, org, addressOf, go, openIdentity } = options;
  const views = Object.entries(viewNames) as [View, string][];
  const links = views.map(([view, name]) => {
    const isHere = view === state.view;
    const link = el('a', { href: addressOf(view), 'aria-current': isHere ? 'page' : null }, name);
    link.addEventListener('click', (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      go({ view });
    });
    return el('li', {}, link);
  });
  const isKnown = orgs.some(({ id }) => id === org);
  const shownOrgs = org === null || isKnown ? orgs : [{ id: org, name: null }, ...orgs];
  const who = !config
    ? 'Sign in'
    : !config.isRbacOn
      ? 'Checks are off'
      : (config.actor?.subject ?? 'Sign in');
  return [
    el(
      'div',
      { class: 'brand' },
      el('span', { class: 'logo', 'aria-hidden': 'true' }),
      el('span', { class: 'name' }, 'Analytics'),
    ),
    el('nav', { 'aria-label': 'Views' }, el('ul', {}, ...links)),
    el(
      'div',
      { class: 'right' },
      shownOrgs.length > 0 &&
        select(
          'Organisation',
          shownOrgs.map(({ id, name }) => ({ value: id, label: name ?? id })),
          org ?? '',
          // Its models and clients are its own.
          (id) => go({ org: id, models: [], clients: [] }),
        ),
      config !== null &&
        config.environment !== 'production' &&
        el('span', { class: 'environment' }, config.environment),
      button(who, openIdentity, { class: 'who', title: 'Who is asking' }),
      themeButton(),
    ),
  ];
}
