import { InvalidArgumentError } from 'commander';
import { parseInstant } from '../shared/instant.ts';

/** Parsers for option values; commander names the option in front of the message. */

export function daysOption(text: string): number {
  const days = Number(text);
  if (Number.isInteger(days) && days >= 1 && days <= 400) return days;
  throw new InvalidArgumentError('must be a whole number of days from 1 to 400.');
}

/** A date (midnight UTC) or an RFC 3339 date-time. */
export function timeOption(text: string): Date {
  const ms = parseInstant(text) ?? parseInstant(`${text}T00:00:00Z`);
  if (ms !== undefined) return new Date(ms);
  throw new InvalidArgumentError('must be a date such as 2026-01-31, or an RFC 3339 date-time.');
}

export function uuidOption(text: string): string {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError('must be a uuid.');
}
