import { type FileHandle, open } from 'node:fs/promises';
import * as z from 'zod';
import {
  type DeadLetter,
  letterId,
  readDeadLetter,
} from '../../shared/dead-letters/dead-letter.ts';
import { faultsOf } from '../../shared/platform/errors.ts';
import { readLines } from '../replay/lines.ts';

/** Letters as NDJSON, bytes and all, so that what was dropped can be sent after all. */
export interface LetterFile {
  append(letters: readonly DeadLetter[]): Promise<void>;
  /** Everything is on the disk once this returns. */
  close(): Promise<void>;
}

/** @throws when the file is there already: it may hold what was dropped before. */
export async function createLetterFile(path: string): Promise<LetterFile> {
  const file: FileHandle = await open(path, 'wx', 0o600);
  return {
    append: async (letters) => {
      await file.appendFile(letters.map(lineOf).join(''));
    },
    close: async () => {
      try {
        await file.sync();
      } finally {
        await file.close();
      }
    },
  };
}

function lineOf(letter: DeadLetter): string {
  const { headers, messageId, contentEncoding, content } = letter;
  const bytes = content.toString('base64');
  const id = letterId(letter);
  return `${JSON.stringify({ letter: id, messageId, contentEncoding, headers, bytes })}\n`;
}

const lineForm = z.object({
  messageId: z.string().nullable(),
  // Files of before had none.
  contentEncoding: z.string().nullable().default(null),
  headers: z.record(z.string(), z.unknown()),
  bytes: z.base64(),
});

/** @throws Error that names the line which cannot be read */
export async function* readLetterFile(path: string): AsyncGenerator<DeadLetter> {
  for await (const line of readLines(path)) {
    if ('fault' in line) throw new Error(`${path}, line ${line.number}: ${line.fault}`);
    if (line.text !== '') yield letterOf(line.text, `${path}, line ${line.number}`);
  }
}

function letterOf(text: string, where: string): DeadLetter {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${where}: not JSON`);
  }
  const parsed = lineForm.safeParse(value);
  if (!parsed.success) {
    const faults = faultsOf(parsed.error).map(({ path, message }) => `${path} ${message}`);
    throw new Error(`${where}: ${faults.join('; ')}`);
  }
  const { bytes, ...rest } = parsed.data;
  return readDeadLetter({ ...rest, content: Buffer.from(bytes, 'base64') });
}
