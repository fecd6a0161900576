/** The contract's bounds for an event's metadata. */
const keysMax = 32;
const bytesMax = 4_096;
const valueMax = 256;

/**
 * What a mapping found that has no field of its own, beside the row's own metadata, cut to what an
 * event may hold: long values first, then whole keys, the last ones first.
 */
export function fittingMetadata(
  found: Readonly<Record<string, string>>,
  own: Readonly<Record<string, unknown>>,
): { metadata: Record<string, unknown>; isCut: boolean } {
  const metadata: Record<string, unknown> = { ...own };
  let isCut = false;
  for (const [key, text] of Object.entries(found)) {
    const value = storable(text);
    if (value !== text) isCut = true;
    const longer = { ...metadata, [key]: value };
    const isFull =
      Object.keys(longer).length > keysMax || Buffer.byteLength(JSON.stringify(longer)) > bytesMax;
    if (isFull) isCut = true;
    else metadata[key] = value;
  }
  return { metadata, isCut };
}

/** Without what an event's text cannot hold, and never cut within a character. */
function storable(text: string): string {
  const plain = text.replaceAll('\u0000', '').toWellFormed();
  return plain.length <= valueMax ? plain : `${plain.slice(0, valueMax - 1).toWellFormed()}…`;
}
