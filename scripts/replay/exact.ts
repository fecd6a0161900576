/** A decimal as a whole number of 10^-30: amounts keep every digit, and add up without an error. */
export type Exact = bigint;

const decimals = 30;
export const one: Exact = 10n ** BigInt(decimals);

const form = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/;
const digitsMax = 60;

/** `12`, `.5`, `1200.0`, `2e-05`; undefined for what is no number, or has more than 30 decimals. */
export function parseExact(text: string): Exact | undefined {
  const match = text.length <= digitsMax ? form.exec(text) : null;
  if (match === null) return undefined;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  const digits = whole + fraction;
  if (digits === '') return undefined;
  const shift = decimals - fraction.length + Number(exponent);
  const amount = shifted(BigInt(digits), shift);
  return sign === '-' && amount !== undefined ? -amount : amount;
}

function shifted(digits: bigint, shift: number): bigint | undefined {
  if (digits === 0n) return 0n;
  if (shift >= 0) return digits * 10n ** BigInt(shift);
  const divisor = 10n ** BigInt(-shift);
  return digits % divisor === 0n ? digits / divisor : undefined;
}

/** The nearest whole number, half of one rounded up; for amounts that are not negative. */
export function rounded(amount: Exact): bigint {
  return (amount + one / 2n) / one;
}

const plainWhole = /^\d{1,15}$/;

/** The whole number that a text is: `1200`, `1200.0`, `1.2e3`; undefined for any other text. */
export function parseWhole(text: string): number | undefined {
  if (plainWhole.test(text)) return Number(text);
  const amount = parseExact(text);
  return amount === undefined || amount % one !== 0n ? undefined : Number(amount / one);
}
