import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { takesEncoding } from '../../shared/http/accept-encoding.ts';

/** How a file may be sent, best first. */
const encodings = [
  { name: 'br', suffix: '.br' },
  { name: 'gzip', suffix: '.gz' },
] as const;

/** A file of the page, packed when it was built. */
export interface PageFile {
  contentType: string;
  plain: Uint8Array<ArrayBuffer>;
  packed: Readonly<Record<(typeof encodings)[number]['name'], Uint8Array<ArrayBuffer>>>;
}

/** What the build made, by name: `index.html`, and assets that have a hash of their text in theirs. */
export type Page = ReadonlyMap<string, PageFile>;

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Puts together what belongs together: `app.js` with `app.js.br` and `app.js.gz`. */
export function pageOf(files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): Page {
  const need = (name: string) => {
    const bytes = files.get(name);
    if (bytes === undefined) throw new Error(`the page lacks ${name}: npm run build`);
    return bytes;
  };
  const names = [...files.keys()].filter((name) => extname(name) in contentTypes);
  return new Map(
    names.map((name) => [
      name,
      {
        contentType: contentTypes[extname(name)] ?? '',
        plain: need(name),
        packed: { br: need(`${name}.br`), gzip: need(`${name}.gz`) },
      },
    ]),
  );
}

/** Reads into memory what the build wrote into a folder. */
export async function readPage(folder: string): Promise<Page> {
  const names = await readdir(folder);
  const read = async (name: string) =>
    [name, Uint8Array.from(await readFile(join(folder, name)))] as const;
  return pageOf(new Map(await Promise.all(names.map(read))));
}

/** The form of a file that suits a request's Accept-Encoding. */
export function formFor(
  file: PageFile,
  accepted: string,
): { bytes: Uint8Array<ArrayBuffer>; encoding: string | null } {
  for (const { name } of encodings) {
    if (takesEncoding(accepted, name)) return { bytes: file.packed[name], encoding: name };
  }
  return { bytes: file.plain, encoding: null };
}
