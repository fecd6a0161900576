import { readFile } from 'node:fs/promises';
import { runbookSection } from '../../scripts/dashboards/rule.ts';

export const runbook = await readFile(new URL('../../docs/runbook.md', import.meta.url), 'utf8');

/** The anchors of docs/runbook.md, as its headings make them. */
export function runbookAnchors(): Set<string> {
  const headings = runbook.match(/^#+ .+$/gm) ?? [];
  return new Set(
    headings.map((heading) => runbookSection('', heading.replace(/^#+ /, '')).slice(1)),
  );
}

/** The fenced blocks of a language, without their fences. */
export function runbookBlocks(language: 'sh' | 'sql'): string[] {
  const blocks = runbook.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'));
  return [...blocks].map(([, text = '']) => text);
}

/** What is typed into a shell: the programs by which a command within a sentence is known. */
const programs =
  /^(?:[A-Z_]+=\S+ )*(?:aws|curl|docker|eval|func|git|helm|jq|kubectl|node|npm|npx|promtool|psql|rabbitmqctl|redis-cli) \S/;

/**
 * Every command of the runbook as it is typed, each once and in the order of the page: the lines of
 * its `sh` blocks without their comments, and those between backticks.
 */
export function runbookCommands(): string[] {
  const lines = runbookBlocks('sh').flatMap((block) =>
    block
      .replaceAll(/\\\n\s*/g, '')
      .replaceAll(/\s+# .*$/gm, '')
      .trim()
      .split('\n'),
  );
  const prose = runbook.replaceAll(/^```[\s\S]*?^```$/gm, '');
  const inline = [...prose.matchAll(/`([^`]+)`/g)]
    .map(([, text = '']) => text.replaceAll(/\s+/g, ' '))
    .filter((text) => programs.test(text));
  return [...new Set([...lines, ...inline])];
}
