import { createHash } from 'node:crypto';

/** RFC 9562's namespace of URLs. */
const namespace = Buffer.from('6ba7b8119dad11d180b400c04fd430c8', 'hex');

/**
 * The id of a model that is known by name: the version 5 uuid of `provider/name`, both in lower
 * case and without spaces around them, so that every file and producer comes to the same.
 */
export function modelIdOf(provider: string, name: string): string {
  return uuidV5(`${normal(provider)}/${normal(name)}`);
}

const normal = (text: string) => text.trim().toLowerCase();

function uuidV5(name: string): string {
  const hash = createHash('sha1').update(namespace).update(name).digest();
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x50, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = hash.toString('hex', 0, 16);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
