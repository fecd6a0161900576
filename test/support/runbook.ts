import { readFile } from 'node:fs/promises';
import { runbookSection } from '../../scripts/dashboards/rule.ts';

export const runbook = await readFile(new URL('../../docs/runbook.md', import.meta.url), 'utf8');

/** By its anchor what each section says, up to the next heading. */
export function runbookSections(): Map<string, string> {
  const sections = runbook.split(/^#+ (?=[A-Z])/m).slice(1);
  return new Map(
    sections.map((section) => {
      const [heading = '', ...lines] = section.split('\n');
      return [runbookSection('', heading).slice(1), lines.join('\n')];
    }),
  );
}

/** The anchors of docs/runbook.md, as its headings make them. */
export function runbookAnchors(): Set<string> {
  return new Set(runbookSections().keys());
}

/** The fenced blocks of a language, without their fences. */
export function runbookBlocks(language: 'sh' | 'sql'): string[] {
  const blocks = runbook.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'));
  return [...blocks].map(([, text = '']) => text);
}

/** What stands between backticks, in the order of the page, each on one line. */
export function runbookInlines(): string[] {
  const prose = runbook.replaceAll(/^```[\s\S]*?^```$/gm, '');
  return [...prose.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text.replaceAll(/\s+/g, ' '));
}

/** The programs by which a command within a sentence is known. */
const programs =
  /^(?:[A-Z_]+=\S+ )*(?:aws|curl|docker|eval|func|git|helm|jq|kubectl|node|npm|npx|promtool|psql|rabbitmqctl|redis-cli) \S/;

/**
 * Every command of the runbook as it is typed, each once: the lines of its `sh` blocks without their
 * comments, and then those between backticks.
 */
export function runbookCommands(): string[] {
  const lines = runbookBlocks('sh').flatMap((block) =>
    block
      .replaceAll(/\\\n\s*/g, '')
      .replaceAll(/\s+# .*$/gm, '')
      .trim()
      .split('\n'),
  );
  return [...new Set([...lines, ...runbookInlines().filter((text) => programs.test(text))])];
}
