type Child = Node | string | null | false | undefined;

type Attributes = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** An element with attributes (those that are null or false are left out) and children. */
export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(
    ...children.filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/** A button that does something, and is no form's. */
export function button(
  label: string,
  onClick: () => void,
  attributes: Attributes = {},
): HTMLButtonElement {
  const element = el('button', { type: 'button', ...attributes }, label);
  element.addEventListener('click', onClick);
  return element;
}

export interface Option {
  value: string;
  label: string;
}

/** A labelled choice. */
export function select(
  label: string,
  options: readonly Option[],
  chosen: string,
  onChange: (value: string) => void,
): HTMLLabelElement {
  const field = el('select', { name: label.toLowerCase().replaceAll(' ', '-') });
  for (const { value, label: text } of options) {
    field.append(el('option', { value, selected: value === chosen }, text));
  }
  field.addEventListener('change', () => onChange(field.value));
  return el('label', { class: 'field' }, el('span', {}, label), field);
}

/** A row of buttons of which one is pressed. */
export function segmented<const Value extends string>(
  label: string,
  options: readonly { value: Value; label: string }[],
  chosen: Value,
  onChange: (value: Value) => void,
): HTMLElement {
  const row = el('div', { class: 'segmented', role: 'group', 'aria-label': label });
  for (const { value, label: text } of options) {
    row.append(button(text, () => onChange(value), { 'aria-pressed': String(value === chosen) }));
  }
  return row;
}

/** Says something to everybody for a while, to screen readers too. */
export function announce(message: string): void {
  const region = document.getElementById('announcements');
  if (region === null) return;
  const note = el('div', { class: 'toast' }, message);
  region.replaceChildren(note);
  setTimeout(() => note.remove(), 4_000);
}

/** Copies text and says so. */
export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    announce(`${what} copied`);
  } catch {
    announce(`This browser does not let the page copy. Use https, or allow it.`);
  }
}
