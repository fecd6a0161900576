const focusable = 'a[href], button, input, select, textarea, summary, [tabindex="0"]';

/** What an element is known by once it has been drawn anew. */
function keyOf(element: Element): string {
  const group = element.closest('[aria-label]')?.getAttribute('aria-label') ?? '';
  const name = element.getAttribute('name') ?? '';
  // What is chosen in a menu is its text too, and changes.
  const text = element.matches('button, a') ? element.textContent : element.tagName;
  return [group, name, text].join('|');
}

/**
 * Draws a part of the page anew and puts the focus back to where it was in it, so that who uses the
 * keyboard need not begin at the top again.
 */
export function keepFocus<T>(root: HTMLElement, redraw: () => T): T {
  const { activeElement } = document;
  const key = activeElement !== null && root.contains(activeElement) ? keyOf(activeElement) : null;
  const restore = () => {
    if (key === null || document.activeElement !== document.body) return;
    const found = [...root.querySelectorAll<HTMLElement>(focusable)].find(
      (element) => keyOf(element) === key,
    );
    found?.focus({ preventScroll: true });
  };
  const drawn = redraw();
  if (drawn instanceof Promise) void drawn.then(restore);
  else restore();
  return drawn;
}
