/**
 * JSON whose decimals keep every digit. A cost is never a float (DESIGN 9), but JSON.parse makes
 * one of every number and JSON.stringify can only write floats, so at both doors a decimal travels
 * as a string that begins with NUL, which no accepted text may contain.
 */

const mark = '\u0000';

/**
 * What no sender can write: a text that begins with NUL and digits is not a number of ours. Made by
 * what a browser has too, where the console reads answers by this module.
 */
const literalMark = `${mark}${crypto.getRandomValues(new BigUint64Array(1))}:`;

/**
 * Matches a number that is the value of one of the cost keys. Both quotes are unescaped and a
 * colon follows, so the match is a key, never text inside a string: the lookbehind refuses the one
 * other case, a longer key that ends in an escaped quote and the name.
 */
const costNumber =
  /(?<!\\)"(costEstimateCents|inputCostCents|outputCostCents)"(\s*:\s*)(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?=[\s,}])/g;

/** No text has a cost number without this: to look for it first takes 0.1 us of 0.6. */
const maybeCostNumber = /Cents"\s*:\s*[-\d]/;

const kept = `"$1"$2"\\u0000${literalMark.slice(1)}$3"`;

/**
 * JSON.parse, but cost numbers come back as marked text. Read them with `literalOf`.
 *
 * @throws SyntaxError as JSON.parse does.
 */
export function parseKeepingCosts(text: string): unknown {
  return JSON.parse(maybeCostNumber.test(text) ? text.replace(costNumber, kept) : text);
}

/** A float, printed again, may not be the number that was written: 15 digits it always keeps. */
const beyondFloat = /[\d.]{16}|[eE][+-]?\d{3}/;
const wholeBeyondFloat = /^-?\d{16,}$/;

/** A string whole, or a number outside of any. Only for text that is known to be JSON. */
const stringOrNumber = /"[^"\\]*(?:\\.[^"\\]*)*"|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;

/**
 * JSON.parse, but cost numbers, and all others of more digits than a float keeps, come back as
 * marked text. Read them with `literalOf`.
 *
 * @throws SyntaxError as JSON.parse does.
 */
export function parseKeepingDigits(text: string): unknown {
  return parseKeeping(text, beyondFloat);
}

/** The same, but of the others only whole numbers: a ratio may lose what a float does not keep. */
export function parseKeepingWholes(text: string): unknown {
  return parseKeeping(text, wholeBeyondFloat);
}

function parseKeeping(text: string, isKept: RegExp): unknown {
  const parsed = parseKeepingCosts(text);
  if (!beyondFloat.test(text)) return parsed;
  const marked = (found: string, number: string | undefined) =>
    number !== undefined && isKept.test(number)
      ? `"\\u0000${literalMark.slice(1)}${number}"`
      : found;
  return JSON.parse(text.replace(costNumber, kept).replace(stringOrNumber, marked));
}

/** The digits of a number that was kept so, or undefined for any other value. */
export function literalOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.startsWith(literalMark)
    ? value.slice(literalMark.length)
    : undefined;
}

/** Marks a decimal in PostgreSQL's text form, to be written by `stringify` digit for digit. */
export function decimal(text: string): string {
  return mark + text;
}

const markedNumber = new RegExp(
  `"\\\\u0000(?:${literalMark.slice(1)})?(-?\\d+(?:\\.\\d+)?(?:[eE][+-]?\\d+)?)"`,
  'g',
);

/**
 * JSON.stringify that writes marked decimals, and numbers that `parseKeepingCosts` kept, as JSON
 * numbers.
 */
export function stringify(value: unknown): string {
  return JSON.stringify(value).replace(markedNumber, '$1');
}
