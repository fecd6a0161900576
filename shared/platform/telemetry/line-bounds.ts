/** More of one text tells nobody more, and callers choose many of them. */
const textMaxLength = 1_024;
/** A stack is ours but for its first line, and worth reading to its end. */
const stackMaxLength = 8_192;
const itemsMax = 100;
const depthMax = 5;

/**
 * Bounds what one log line is made of: each text, each list, each object. A line is written while
 * its request waits, and a caller's path, attributes or body would else be all of it.
 *
 * @param clean takes secrets out; asked before a text is cut, as half a secret is not found again
 */
export function lineBounds(
  clean: (text: string) => string,
): (line: Record<string, unknown>) => Record<string, unknown> {
  const textOf = (text: string, max: number) => {
    if (text.length <= max) return text;
    const cleaned = clean(text);
    return cleaned.length <= max ? cleaned : cutText(cleaned, max);
  };
  const bounded = (value: unknown, max: number, depth: number): unknown => {
    if (typeof value === 'string') return textOf(value, max);
    if (typeof value !== 'object' || value === null) return value;
    if (depth === depthMax) return '…';
    if (Array.isArray(value)) {
      const kept = value.slice(0, itemsMax).map((item) => bounded(item, textMaxLength, depth + 1));
      return value.length > itemsMax ? [...kept, more(value.length - itemsMax)] : kept;
    }
    return isPlain(value) ? entriesOf(value, depth) : value;
  };
  const entriesOf = (object: object, depth: number): Record<string, unknown> => {
    const entries = Object.entries(object);
    const kept = entries
      .slice(0, itemsMax)
      .map(([name, value]) => [
        textOf(name, textMaxLength),
        bounded(value, name === 'stack' ? stackMaxLength : textMaxLength, depth + 1),
      ]);
    if (entries.length > itemsMax) kept.push(['…', more(entries.length - itemsMax)]);
    return Object.fromEntries(kept);
  };
  return (line) => entriesOf(line, 0);
}

/** The first `max` characters, and how many there were. */
export function cutText(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max)}… (${text.length} characters)`;
}

function more(count: number): string {
  return `… and ${count} more`;
}

/** Others say themselves what they are in JSON. */
function isPlain(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  return prototype === Object.prototype || prototype === null;
}
