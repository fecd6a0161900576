/**
 * Costs are decimals and stay such: whole millionths of the currency's unit, which are the
 * ten-thousandths of a cent that the API gives. Only a chart's height is a float.
 */
export type Money = bigint;

const unitDigits = 6;

/** @param cents a decimal with at most 4 places, as the API writes it */
export function moneyOf(cents: string): Money {
  const [, whole, fraction = ''] = /^(\d+)(?:\.(\d{1,4}))?$/.exec(cents) ?? [];
  if (whole === undefined) throw new Error(`${cents} is not an amount in cents`);
  return BigInt(whole + fraction.padEnd(4, '0'));
}

/** Cents with as many places as are needed, as the API writes them. */
export function centsText(money: Money): string {
  const digits = money.toString().padStart(5, '0');
  const fraction = digits.slice(-4).replace(/0+$/, '');
  return digits.slice(0, -4) + (fraction === '' ? '' : `.${fraction}`);
}

/** For a chart's scale: near enough to be drawn. */
export function asNumber(money: Money): number {
  return Number(money) / 10 ** unitDigits;
}

/**
 * `$16.90`; below one unit with two more places, as single answers cost fractions of a cent; and
 * `< $0.0001` for what these would show as nothing.
 */
export function moneyText(money: Money, currency: string): string {
  const usual = usualDigits(currency);
  const unit = 10n ** BigInt(unitDigits);
  if (money === 0n || money >= unit) return written(money, currency, usual);
  const digits = usual + 2;
  const least = 10n ** BigInt(unitDigits - digits);
  const isShown = 2n * money >= least;
  return isShown ? written(money, currency, digits) : `< ${written(least, currency, digits)}`;
}

/** What one of `count` is of an amount, times `times`: never nothing where there was something. */
export function shareOfMoney(money: Money, count: number, times = 1): Money {
  if (count === 0 || money === 0n) return 0n;
  const share = (money * BigInt(times)) / BigInt(count);
  return share === 0n ? 1n : share;
}

/** Every place there is, and at least the usual ones. */
export function exactMoneyText(money: Money, currency: string): string {
  const places = (money % 10n ** BigInt(unitDigits)).toString().padStart(unitDigits, '0');
  const needed = places.replace(/0+$/, '').length;
  return written(money, currency, Math.max(needed, usualDigits(currency)));
}

function usualDigits(currency: string): number {
  return formatsOf(currency).usualDigits;
}

function written(money: Money, currency: string, digits: number): string {
  const step = 10n ** BigInt(unitDigits - digits);
  // Half up, and digit by digit: a float would show some amounts wrong.
  const rounded = (money + step / 2n) / step;
  const scale = 10n ** BigInt(digits);
  const fraction = digits === 0 ? '' : `.${(rounded % scale).toString().padStart(digits, '0')}`;
  const parts = formatsOf(currency).whole.formatToParts(rounded / scale);
  const last = parts.findLastIndex(({ type }) => type === 'integer');
  return parts.map(({ value }, index) => (index === last ? value + fraction : value)).join('');
}

interface CurrencyFormats {
  usualDigits: number;
  whole: Intl.NumberFormat;
}

/** Made once: a table has thousands of amounts, and a format takes longer than an amount. */
const formats = new Map<string, CurrencyFormats>();

function formatsOf(currency: string): CurrencyFormats {
  let found = formats.get(currency);
  if (found === undefined) {
    const style = { style: 'currency', currency } as const;
    const { maximumFractionDigits = 2 } = new Intl.NumberFormat('en', style).resolvedOptions();
    const digits = { minimumFractionDigits: 0, maximumFractionDigits: 0 };
    const whole = new Intl.NumberFormat('en', { ...style, ...digits });
    found = { usualDigits: maximumFractionDigits, whole };
    formats.set(currency, found);
  }
  return found;
}

/** For an axis: `$1.2K`. */
export function shortMoneyText(amount: number, currency: string): string {
  const small = amount !== 0 && Math.abs(amount) < 1;
  return new Intl.NumberFormat('en', {
    style: 'currency',
    currency,
    notation: 'compact',
    minimumFractionDigits: 0,
    ...(small ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 1 }),
  }).format(amount);
}
