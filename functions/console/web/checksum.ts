/** More than that a page does not take into memory at once. */
const bytesMax = 1_000_000_000;

/**
 * Whether a downloaded file is the one that was made.
 *
 * @param expected its SHA-256 in hexadecimal
 * @returns null where this page cannot tell, with what can
 */
export async function checkFile(
  file: File,
  expected: string,
): Promise<{ isSame: boolean | null; words: string }> {
  // Only pages of https or this machine are given it.
  if (file.size > bytesMax || globalThis.crypto?.subtle === undefined) {
    const words = `This page cannot check it. In a shell: echo "${expected}  ${file.name}" | sha256sum -c`;
    return { isSame: null, words };
  }
  const digest = await crypto.subtle.digest('SHA-256', await file.arrayBuffer());
  const found = Array.from(new Uint8Array(digest), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
  return found === expected
    ? { isSame: true, words: `✓ ${file.name} is the file that was made: its checksum is the same.` }
    : {
        isSame: false,
        words: `✗ ${file.name} is not the file that was made: its checksum is ${found}. Download it again.`,
      };
}
