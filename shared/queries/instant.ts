const rfc3339 =
  /^((\d{4})-(\d\d)-(\d\d)[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,3})?)(?:(?<=\.\d{3})\d+)?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/**
 * An RFC 3339 date-time with a zone → milliseconds since 1970, finer digits cut off, or undefined
 * for any other text. Date.parse alone takes 30 February for 2 March, and of more than 9 digits of a
 * second it forgets the zeros they begin with: .0002000000 would be 2 ms.
 */
export function parseInstant(text: string): number | undefined {
  const match = rfc3339.exec(text);
  if (match === null) return undefined;
  const [, toMilliseconds = '', year, month, day, zone = ''] = match;
  if (Number(month) < 1 || Number(month) > 12 || Number(day) < 1) return undefined;
  if (Number(day) > 28 && Number(day) > daysInMonth(Number(year), Number(month))) return undefined;
  return Date.parse(toMilliseconds + zone);
}

function daysInMonth(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}
