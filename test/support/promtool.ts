import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type AlertRule,
  defaultRunbook,
  type RecordingRule,
} from '../../scripts/dashboards/rule.ts';
import { plainRule } from '../../scripts/dashboards/rules-file.ts';
import { runCommand } from '../../scripts/services/run-command.ts';

/** What `promtool test rules` reads: one of its `tests`. */
export interface RuleTest {
  interval: string;
  input_series: { series: string; values: string }[];
  alert_rule_test?: {
    eval_time: string;
    alertname: string;
    exp_alerts: {
      exp_labels: Record<string, string>;
      exp_annotations: Record<string, string>;
    }[];
  }[];
  promql_expr_test?: {
    expr: string;
    eval_time: string;
    exp_samples: { labels: string; value: number }[];
  }[];
}

/** @throws Error with promtool's words when rules do not parse. */
export async function checkRules(rulesFile: string): Promise<void> {
  await promtool('check', 'rules', '--lint-fatal', rulesFile);
}

/** @throws Error with promtool's words when a rule does not do what the test expects. */
export async function testRules(rulesFile: string, test: RuleTest): Promise<void> {
  await withFile('test.json', JSON.stringify(testFile(rulesFile, test)), (file) =>
    promtool('test', 'rules', file),
  );
}

/** The same for some rules alone, which over a long time makes a difference of seconds. */
export async function testSomeRules(
  rules: readonly (RecordingRule | AlertRule)[],
  test: RuleTest,
): Promise<void> {
  const plain = rules.map((rule) => plainRule(rule, defaultRunbook));
  const text = JSON.stringify({ groups: [{ name: 'some', rules: plain }] });
  await withFile('rules.json', text, (rulesFile) => testRules(rulesFile, test));
}

/** @throws Error naming the first expression that is not PromQL. */
export async function checkExpressions(expressions: readonly string[]): Promise<void> {
  const rules = expressions.map((expr, index) => ({ record: `expression_${index}`, expr }));
  const text = JSON.stringify({ groups: [{ name: 'expressions', rules }] });
  await withFile('rules.json', text, (file) => promtool('check', 'rules', file));
}

/**
 * What promtool has against a text of metrics, a line each.
 *
 * @throws Error with promtool's words when it does not parse
 */
export async function lintMetrics(text: string): Promise<string[]> {
  // It reads its standard input alone, and ends with 3 where it only complains.
  const script = 'promtool check metrics < "$1" 2>&1 || [ $? = 3 ]';
  let told = '';
  await withFile('metrics.txt', text, async (file) => {
    told = await runCommand('/bin/sh', ['-c', script, 'sh', file], { timeoutMs: 60_000 });
  });
  // One for each sample that it is about.
  return [...new Set(told.split('\n').filter((line) => line !== ''))];
}

/** JSON is YAML. */
function testFile(rulesFile: string, test: RuleTest) {
  return { rule_files: [rulesFile], evaluation_interval: test.interval, tests: [test] };
}

async function withFile(
  name: string,
  text: string,
  use: (file: string) => Promise<unknown>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'analytics-promtool-'));
  try {
    const file = join(folder, name);
    await writeFile(file, text);
    await use(file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function promtool(...args: string[]): Promise<string> {
  return runCommand('promtool', args, { timeoutMs: 60_000 });
}
