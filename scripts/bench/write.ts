import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { performanceDocument } from './performance-document.ts';
import type { Report } from './report.ts';
import { scalingDocument } from './scaling-document.ts';

const keptFile = documentFile('performance.json');

/** The last whole run of each scale, the smaller first. */
export async function readReports(): Promise<Report[]> {
  const text = await readFile(keptFile, 'utf8').catch(() => '[]');
  return JSON.parse(text) as Report[];
}

/** Keeps a run in place of the last of its scale. */
export async function keepReport(report: Report): Promise<void> {
  const others = (await readReports()).filter(({ scale }) => scale !== report.scale);
  const kept = [...others, report].sort((a, b) => b.scale.localeCompare(a.scale));
  await writeFile(keptFile, `${JSON.stringify(kept, null, 2)}\n`);
}

/** What is made of the kept runs: every file of docs that states a figure of the bench. */
export function documentsOf(reports: readonly Report[]): Record<string, string> {
  return {
    'performance.md': performanceDocument(reports),
    'scaling.md': scalingDocument(reports),
  };
}

export async function writeDocuments(): Promise<void> {
  for (const [name, text] of Object.entries(documentsOf(await readReports()))) {
    await writeFile(documentFile(name), text);
  }
}

export function documentFile(name: string): string {
  return fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));
}
