import { button, el, type Option } from './dom.ts';

/**
 * A choice of several, with a search where they are many. What was chosen counts once the menu is
 * closed, so that each tick does not ask the API anew.
 *
 * @param load brings the options when it is first opened
 */
export function multiSelect(
  label: string,
  chosen: readonly string[],
  labelOf: (value: string) => string,
  load: () => Promise<readonly Option[]>,
  onChange: (values: string[]) => void,
): HTMLElement {
  const picked = new Set(chosen);
  const [only] = chosen;
  const summary =
    only === undefined ? 'All' : chosen.length === 1 ? labelOf(only) : `${chosen.length} chosen`;
  const list = el('div', { class: 'options' }, el('p', { class: 'muted' }, 'Loading…'));
  const search = el('input', {
    type: 'search',
    placeholder: 'Search',
    'aria-label': `Search ${label}`,
  });
  const sheet = el(
    'div',
    { class: 'sheet' },
    search,
    list,
    el(
      'div',
      { class: 'actions' },
      button(
        'Apply',
        () => {
          menu.open = false;
        },
        { class: 'primary' },
      ),
      button('All', () => {
        picked.clear();
        menu.open = false;
      }),
    ),
  );
  const menu = el(
    'details',
    { class: 'menu' },
    el('summary', { 'aria-label': `${label}: ${summary}` }, summary),
    sheet,
  );
  let options: readonly Option[] | null = null;
  const draw = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = (options ?? []).filter(({ label: text, value }) =>
      `${text} ${value}`.toLowerCase().includes(wanted),
    );
    list.replaceChildren(
      ...found.slice(0, shownMax).map(({ value, label: text }) => {
        const box = el('input', { type: 'checkbox', checked: picked.has(value) });
        box.addEventListener('change', () => {
          if (box.checked) picked.add(value);
          else picked.delete(value);
        });
        return el('label', { title: value }, box, text);
      }),
      ...(found.length === 0 ? [el('p', { class: 'muted' }, 'Nothing found')] : []),
      ...(found.length > shownMax
        ? [el('p', { class: 'muted' }, `${found.length - shownMax} more: search for them`)]
        : []),
    );
  };
  search.addEventListener('input', draw);
  menu.addEventListener('toggle', async () => {
    if (!menu.open) {
      const isSame = picked.size === chosen.length && chosen.every((value) => picked.has(value));
      if (!isSame) onChange([...picked]);
      return;
    }
    // Wherever the filters wrap, it stays on the page.
    sheet.classList.remove('leftward');
    const isCut = sheet.getBoundingClientRect().right > document.documentElement.clientWidth;
    sheet.classList.toggle('leftward', isCut);
    search.focus();
    if (options !== null) return;
    try {
      const loaded = await load();
      // What is chosen stays to be seen, whether or not it is in this window.
      const known = new Set(loaded.map(({ value }) => value));
      const missing = chosen.filter((value) => !known.has(value));
      options = [...missing.map((value) => ({ value, label: labelOf(value) })), ...loaded];
      draw();
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      list.replaceChildren(el('p', { class: 'muted' }, `Cannot be listed: ${detail}`));
    }
  });
  return el('div', { class: 'field' }, el('span', { 'aria-hidden': 'true' }, label), menu);
}

const shownMax = 200;

/** Menus close by Escape and by a click elsewhere. */
export function closeMenus(): void {
  const close = (keep: EventTarget | null) => {
    for (const menu of document.querySelectorAll<HTMLDetailsElement>(
      'details.menu[open], details.freshness[open]',
    )) {
      if (!(keep instanceof Node && menu.contains(keep))) menu.open = false;
    }
  };
  document.addEventListener('pointerdown', ({ target }) => close(target));
  document.addEventListener('keydown', ({ key, target }) => {
    if (key !== 'Escape') return;
    const menu = target instanceof Element ? target.closest('details.menu') : null;
    close(null);
    menu?.querySelector('summary')?.focus();
  });
}
