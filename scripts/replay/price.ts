/** Cents for a million tokens, as whole millionths of a cent: prices have at most 6 decimals. */
export type Price = bigint;

const millionth = 1_000_000n;

/** `300`, `2.5` or `0.125` → a price, undefined for any other text. */
export function parsePrice(text: string): Price | undefined {
  const match = /^(\d{1,9})(?:\.(\d{1,6}))?$/.exec(text);
  if (match === null) return undefined;
  const [, whole = '', decimals = ''] = match;
  return BigInt(whole) * millionth + BigInt(decimals.padEnd(6, '0'));
}

/** What tokens cost, in whole ten-thousandths of a cent, half of one rounded up. */
export function costOf(tokens: number, price: Price): bigint {
  // tokens × millionths / a million tokens gives millionths of a cent; a hundred make one unit.
  const divisor = millionth * 100n;
  return (BigInt(tokens) * price + divisor / 2n) / divisor;
}

/** Ten-thousandths of a cent → decimal text with four places. */
export function centsText(amount: bigint): string {
  const digits = amount.toString().padStart(5, '0');
  return `${digits.slice(0, -4)}.${digits.slice(-4)}`;
}
