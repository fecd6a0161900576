/** Others' text for a terminal: what would move its cursor is shown by its code. */
export function printable(text: string): string {
  return text.replace(unprintable, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

/** Control characters, and those that change how their neighbours are shown. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/**
 * The same for valid JSON, which stays the same value on one line: it has plain control characters
 * between its tokens alone, all others inside of strings.
 */
export function printableJson(json: string): string {
  return json.replace(/[\t\r\n]/g, ' ').replace(unprintable, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

/** Text of several lines, which stay. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

export function cut(text: string, max: number): string {
  const plain = printable(text);
  return plain.length > max ? `${plain.slice(0, max - 1)}…` : plain;
}

/** Bytes as the text they are, else as hexadecimal. Line ends and tabs stay. */
export function bytesAsText(bytes: Buffer): { encoding: 'text' | 'hex'; text: string } {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (!/[^\P{Cc}\n\r\t]/u.test(text)) {
      // A carriage return alone would write over its own line.
      const lines = text.replace(/\r\n/g, '\n').split(/(?<=[\n\t])|(?=[\n\t])/);
      const shown = lines.map((part) => (/^[\n\t]$/.test(part) ? part : printable(part)));
      return { encoding: 'text', text: shown.join('') };
    }
  } catch {
    // Not UTF-8.
  }
  return { encoding: 'hex', text: bytes.toString('hex') };
}
