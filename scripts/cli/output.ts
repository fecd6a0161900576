import { printableJson } from './printable.ts';

/** A line (or several) for people, which must be printable already. */
export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** For machines: one JSON value on one line. */
export function sayJson(value: unknown): void {
  sayJsonText(JSON.stringify(value));
}

/** The same of JSON that is text already, digit for digit. */
export function sayJsonText(json: string): void {
  say(printableJson(json));
}

/** For people who watch; not part of what a command answers. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}
