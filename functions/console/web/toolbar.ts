import { granularities } from '../../../shared/queries/time-window.ts';
import { reliabilityAnswer, usageAnswer } from './answers.ts';
import { ask, pathTo } from './api.ts';
import { button, copy, el, select } from './dom.ts';
import { multiSelect } from './menu.ts';
import { fromLocalInput, type Preset, presetNames, presets, toLocalInput } from './range.ts';
import { clientLabel, modelLabel, type Scene, windowQuery } from './scene.ts';

/** What can be chosen about a view. Each choice is another address. */
export function toolbar(scene: Scene, signal: AbortSignal, refresh: () => void): HTMLElement {
  const { state, go } = scene;
  const isExports = state.view === 'exports';
  const preset = 'preset' in state.range ? state.range.preset : 'custom';
  const isPreset = (value: string): value is Preset => presets.some((one) => one === value);
  const content = [
    select(
      'Period',
      [
        ...presets.map((value) => ({ value, label: presetNames[value] })),
        { value: 'custom', label: 'Custom' },
      ],
      preset,
      (value) => go({ range: isPreset(value) ? { preset: value } : scene.range }),
    ),
    ...(preset === 'custom' ? rangeInputs(scene) : []),
    !isExports &&
      select(
        'Granularity',
        [
          { value: 'auto', label: `Automatic (${scene.granularity})` },
          ...granularities.map((value) => ({
            value,
            label: { hour: 'Hours', day: 'Days', month: 'Months' }[value],
          })),
        ],
        state.granularity,
        (value) => go({ granularity: granularities.find((one) => one === value) ?? 'auto' }),
      ),
    select('Time zone', zoneOptions(state.timeZone), state.timeZone, (timeZone) =>
      go({ timeZone }),
    ),
    multiSelect(
      'Models',
      state.models,
      (id) => modelLabel(scene, id),
      async () => [...scene.modelIds].map((value) => ({ value, label: modelLabel(scene, value) })),
      (models) => go({ models }),
    ),
    !isExports &&
      multiSelect(
        'Clients',
        state.clients,
        clientLabel,
        () => clientOptions(scene, signal),
        (clients) => go({ clients }),
      ),
    !isExports && compareBox(scene),
    el(
      'div',
      { class: 'actions' },
      button('Refresh', refresh),
      button('Copy link', () => copy(location.href, 'Link'), { class: 'quiet' }),
    ),
  ];
  const wide = matchMedia('(min-width: 48rem)').matches;
  return el(
    'details',
    { class: 'toolbar', open: wide || isToolbarOpen },
    el('summary', {}, 'Filters'),
    el('div', { class: 'fields' }, ...content),
  );
}

/** On a phone the filters are folded away, and stay as they were while one goes about. */
let isToolbarOpen = false;
document.addEventListener(
  'toggle',
  ({ target }) => {
    if (target instanceof HTMLDetailsElement && target.classList.contains('toolbar')) {
      isToolbarOpen = target.open;
    }
  },
  true,
);

function rangeInputs({ state, range, go }: Scene): HTMLElement[] {
  const input = (name: string, ms: number) => {
    const field = el('input', {
      type: 'datetime-local',
      name,
      value: toLocalInput(ms, state.timeZone),
    });
    return { field, label: el('label', { class: 'field' }, el('span', {}, name), field) };
  };
  const from = input('From', range.startMs);
  const to = input('To', range.endMs);
  const apply = () => {
    const startMs = fromLocalInput(from.field.value, state.timeZone);
    const endMs = fromLocalInput(to.field.value, state.timeZone);
    const isRight = startMs !== undefined && endMs !== undefined && startMs < endMs;
    to.field.setCustomValidity(isRight ? '' : 'The end must be after the start.');
    if (isRight) go({ range: { startMs, endMs } });
    else to.field.reportValidity();
  };
  // Not at every key: a date is typed in parts.
  const isChanged = () =>
    from.field.value !== from.field.defaultValue || to.field.value !== to.field.defaultValue;
  const use = button('Use dates', () => isChanged() && apply());
  for (const { field } of [from, to]) {
    field.addEventListener('keydown', ({ key }) => {
      if (key === 'Enter') apply();
    });
    field.addEventListener('input', () => to.field.setCustomValidity(''));
  }
  return [from.label, to.label, use];
}

function compareBox({ state, go }: Scene): HTMLElement {
  const box = el('input', { type: 'checkbox', name: 'compare', checked: state.compare });
  box.addEventListener('change', () => go({ compare: box.checked }));
  return el('label', { class: 'check' }, box, 'Compare with previous period');
}

function zoneOptions(chosen: string): { value: string; label: string }[] {
  const { timeZone: own } = Intl.DateTimeFormat().resolvedOptions();
  const first = [...new Set(['UTC', own, chosen])];
  const rest = Intl.supportedValuesOf('timeZone').filter((zone) => !first.includes(zone));
  return [...first, ...rest].map((value) => ({ value, label: value.replaceAll('_', ' ') }));
}

/** The clients of the window, whatever they are filtered by. */
async function clientOptions(scene: Scene, signal: AbortSignal) {
  const unfiltered = { ...scene, state: { ...scene.state, clients: [] } };
  const query = windowQuery(unfiltered, 'client', { granularity: 'month' });
  // Whoever may see a view may see its clients; another view's may be closed to them.
  const { series } =
    scene.state.view === 'reliability'
      ? await ask(
          { path: pathTo`/orgs/${scene.org}/reliability`, query },
          reliabilityAnswer,
          signal,
        )
      : await ask({ path: pathTo`/orgs/${scene.org}/usage`, query }, usageAnswer, signal);
  const clients = [...new Set(series.map(({ clientId }) => clientId ?? ''))].sort();
  return clients.map((value) => ({ value, label: clientLabel(value) }));
}
