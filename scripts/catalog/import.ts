import { readFile } from 'node:fs/promises';
import { parse } from 'csv-parse/sync';
import * as z from 'zod';
import { faultsOf } from '../../shared/platform/errors.ts';
import { saveNames } from '../../shared/preparation/catalog.ts';
import { openOperatorDatabase } from '../cli/operator-database.ts';
import { say, sayJson } from '../cli/output.ts';
import { printable } from '../cli/printable.ts';
import { operatorSettings } from '../cli/settings.ts';

const rowForm = z.object({
  kind: z.enum(['org', 'model'], { error: 'must be org or model' }),
  id: z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, 'must be a uuid'),
  name: z.string().min(1, 'must not be empty').max(256, 'must have at most 256 characters'),
});

/** Adds and renames, all that a file names or nothing. @throws Error that names every wrong row */
export async function importNames(file: string, json: boolean): Promise<undefined> {
  const rows = readRows(file, await readFile(file, 'utf8'));
  const names = { org: [], model: [] } as Record<'org' | 'model', { id: string; name: string }[]>;
  const faults: string[] = [];
  for (const [index, value] of rows.entries()) {
    const row = rowForm.safeParse(value);
    if (row.success) names[row.data.kind].push({ id: row.data.id, name: row.data.name });
    else {
      const texts = faultsOf(row.error).map(({ path, message }) => `${path} ${message}`);
      faults.push(`row ${index + 1}: ${texts.join(', ')}`);
    }
  }
  // All or nothing: half a catalog would look like a whole one.
  if (faults.length > 0) throw new Error(`${file} was not imported: ${faults.join('; ')}`);
  const settings = operatorSettings();
  const database = await openOperatorDatabase(settings, 1);
  try {
    await saveNames(database, { orgs: names.org, models: names.model });
  } finally {
    await database.close();
  }
  if (json) sayJson({ file, orgs: names.org.length, models: names.model.length });
  else say(`${printable(file)}: ${names.org.length} orgs and ${names.model.length} models named`);
}

function readRows(file: string, text: string): unknown[] {
  if (!text.trimStart().startsWith('[')) {
    return parse(text, { columns: true, bom: true, skip_empty_lines: true, trim: true });
  }
  const value: unknown = JSON.parse(text);
  if (Array.isArray(value)) return value;
  throw new Error(`${file} must hold a JSON array`);
}
