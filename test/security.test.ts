import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const root = new URL('../', import.meta.url);
const text = readFileSync(new URL('SECURITY.md', root), 'utf8');

interface Promised {
  promise: string;
  /** Titles by the file that is said to hold them. */
  tests: { file: string; titles: string[] }[];
}

const promised = readPromises(text.slice(text.indexOf('## What is promised')));

test('SECURITY.md makes promises', () => {
  expect(promised.length).toBeGreaterThan(20);
});

describe.each(promised)('$promise', ({ tests }) => {
  test('is tried by tests that exist', () => {
    expect(tests.length).toBeGreaterThan(0);
    for (const { file, titles } of tests) {
      expect(existsSync(new URL(file, root)), file).toBe(true);
      expect(titles.length, file).toBeGreaterThan(0);
      const known = titlesOf(readFileSync(new URL(file, root), 'utf8'));
      for (const title of titles) expect(known, file).toContain(title);
    }
  });
});

/** Each item of a list: its bold words, then `[name](file): *title*, *title*; [name](file): …`. */
function readPromises(markdown: string): Promised[] {
  return markdown
    .split(/^- /m)
    .slice(1)
    .map((item) => {
      const [words = ''] = item.split(/\n{2}/);
      const flat = words.replace(/\s+/g, ' ');
      return {
        promise: /^\*\*(.+?)\*\*/.exec(flat)?.[1] ?? flat,
        tests: [...flat.matchAll(/\[[\w-]+\]\(([\w/.-]+)\): ([^[]+)/g)].map(
          ([, file = '', list = '']) => ({
            file,
            titles: [...list.matchAll(/\*([^*]+)\*/g)].map(([, title = '']) => title),
          }),
        ),
      };
    });
}

/** What a file calls its tests and groups of them, as written: `%s` stays. */
function titlesOf(source: string): string[] {
  const calls = source.matchAll(
    /(?<=\b(?:test|describe|faultTest)(?:\.\w+)*\(\s*|\)\(\s*)(?:'([^'\n]+)'|"([^"\n]+)"|`([^`\n]+)`)/g,
  );
  return [...calls].map(([, single, double, back]) => single ?? double ?? back ?? '');
}
