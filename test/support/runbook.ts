import { readFile } from 'node:fs/promises';
import { runbookSection } from '../../scripts/dashboards/rule.ts';

/** The anchors of docs/runbook.md, as its headings make them. */
export async function runbookAnchors(): Promise<Set<string>> {
  const text = await readFile(new URL('../../docs/runbook.md', import.meta.url), 'utf8');
  const headings = text.match(/^#+ .+$/gm) ?? [];
  return new Set(
    headings.map((heading) => runbookSection('', heading.replace(/^#+ /, '')).slice(1)),
  );
}
