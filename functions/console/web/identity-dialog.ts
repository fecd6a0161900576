import type { Config } from './answers.ts';
import { button, el } from './dom.ts';
import { chooseActor, chosenActor, type DevActor, signIn, signOut, token } from './identity.ts';

/** Who is looking, and how to be somebody else. */

const readers: Readonly<Record<string, string>> = {
  Admin: 'admin',
  'Org admin':
    'analytics:usage:read,analytics:reliability:read,analytics:exports:create,analytics:exports:read,analytics:exports:download',
  Engineer: 'analytics:reliability:read',
  Finance:
    'analytics:usage:read,analytics:exports:create,analytics:exports:read,analytics:exports:download',
  Nobody: '',
};

/** An actor of development with the rights of one of those above, in these orgs. */
export function devActor(name: string, orgs: string): DevActor {
  const subject = `dev-${name.toLowerCase().replaceAll(' ', '-')}`;
  return { subject, roles: readers[name] ?? '', orgs };
}

/** @param onChange asks everything anew */
export function openIdentityDialog(
  config: Config | null,
  org: string | null,
  onChange: () => void,
): void {
  const dialog = el('dialog', { 'aria-labelledby': 'identity-title' });
  const done = () => {
    dialog.close();
    onChange();
  };
  dialog.append(
    el(
      'div',
      { class: 'panel-head' },
      el('h2', { id: 'identity-title' }, 'Who is asking'),
      button('Close', () => dialog.close(), { class: 'quiet' }),
    ),
    whoIs(config),
    ...(config?.canSwitchActor ? [actorForm(config, org, done)] : [tokenForm(config, done)]),
  );
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function whoIs(config: Config | null): HTMLElement {
  if (config === null) return el('p', {}, 'The service could not be asked.');
  const { actor, refusal, isRbacOn } = config;
  if (!isRbacOn) {
    return el('p', {}, 'Access checks are off in this environment: everybody may do everything.');
  }
  if (actor === null)
    return el('p', {}, `Nobody that the service believes: ${refusal?.detail ?? ''}.`);
  const facts = [
    ['Subject', actor.subject],
    ['Roles', actor.roles.join(', ') || 'none'],
    ['Organisations', actor.orgs.join(', ') || 'none of its own'],
  ] as const;
  return el(
    'dl',
    { class: 'facts' },
    ...facts.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]),
  );
}

function tokenForm(config: Config | null, done: () => void): HTMLElement {
  const field = el('textarea', {
    rows: 4,
    spellcheck: 'false',
    autocomplete: 'off',
    'aria-label': 'Bearer token',
    placeholder: 'eyJ…',
  });
  const help =
    config?.authMode === 'jwt'
      ? 'Paste an access token of your identity provider. It stays in this tab alone and is forgotten when the tab closes.'
      : 'Your gateway signs you in. If it takes bearer tokens, paste one; it stays in this tab alone.';
  return el(
    'section',
    {},
    el('h3', {}, 'Bearer token'),
    el('p', { class: 'muted' }, help),
    field,
    el(
      'div',
      { class: 'actions' },
      button(
        'Use token',
        () => {
          if (field.value.trim() === '') return field.focus();
          signIn(field.value);
          done();
        },
        { class: 'primary' },
      ),
      token() !== null &&
        button('Forget token', () => {
          signOut();
          done();
        }),
    ),
  );
}

function actorForm(config: Config, org: string | null, done: () => void): HTMLElement {
  const now = chosenActor();
  const inputOf = (name: string, value: string) => {
    const field = el('input', { value, spellcheck: 'false', autocomplete: 'off' });
    return { field, label: el('label', { class: 'field wide' }, el('span', {}, name), field) };
  };
  const subject = inputOf('Subject', now?.subject ?? config.actor?.subject ?? 'dev');
  const roles = inputOf(
    'Roles, parted by commas',
    now?.roles ?? config.actor?.roles.join(',') ?? '',
  );
  const orgs = inputOf('Organisation ids, parted by commas', now?.orgs || (org ?? ''));
  const preset = (name: string) =>
    button(name, () => {
      chooseActor(devActor(name, orgs.field.value.trim()));
      done();
    });
  return el(
    'section',
    {},
    el('h3', {}, 'Development actor'),
    el(
      'p',
      { class: 'muted' },
      `Only in ${config.environment}, where a request’s own headers are believed.`,
    ),
    orgs.label,
    el('div', { class: 'actions' }, ...Object.keys(readers).map(preset)),
    subject.label,
    roles.label,
    el(
      'div',
      { class: 'actions' },
      button(
        'Ask as this actor',
        () => {
          chooseActor({
            subject: subject.field.value.trim(),
            roles: roles.field.value.trim(),
            orgs: orgs.field.value.trim(),
          });
          done();
        },
        { class: 'primary' },
      ),
    ),
  );
}
