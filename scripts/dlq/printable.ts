/** Senders' text for a terminal: what would move its cursor is shown by its code. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}

export function cut(text: string, max: number): string {
  const plain = printable(text);
  return plain.length > max ? `${plain.slice(0, max - 1)}…` : plain;
}

/** Bytes as the text they are, else as hexadecimal. Line ends and tabs stay. */
export function bytesAsText(bytes: Buffer): { encoding: 'text' | 'hex'; text: string } {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (!/[^\P{Cc}\n\r\t]/u.test(text)) return { encoding: 'text', text };
  } catch {
    // Not UTF-8.
  }
  return { encoding: 'hex', text: bytes.toString('hex') };
}
