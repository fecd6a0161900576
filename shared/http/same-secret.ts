import { createHash, timingSafeEqual } from 'node:crypto';

/** In constant time: hashes have the same length whatever was sent. */
export function sameSecret(given: string, expected: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(given), hash(expected));
}
