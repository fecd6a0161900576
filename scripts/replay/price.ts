import { type Exact, one, parseExact } from './exact.ts';

/** Cents for a million tokens. */
export type Price = Exact;

/** `300`, `2.5` or `0.125` → a price, undefined for any other text. */
export function parsePrice(text: string): Price | undefined {
  return /^\d{1,9}(\.\d{1,6})?$/.test(text) ? parseExact(text) : undefined;
}

/** What tokens cost, in cents. Exact: a price has at most 6 decimals, and 12 there are then. */
export function costOf(tokens: number, price: Price): Exact {
  return (BigInt(tokens) * price) / 1_000_000n;
}

/** As much as is stored of a cent, as a part of one. */
export const centUnit: Exact = one / 10_000n;

/** Ten-thousandths of a cent → decimal text with four places. */
export function centsText(amount: bigint): string {
  const digits = amount.toString().padStart(5, '0');
  return `${digits.slice(0, -4)}.${digits.slice(-4)}`;
}
