import { alertGroups } from './alerts.ts';
import { recordings } from './recordings.ts';
import { type AlertRule, type RecordingRule, type RuleGroup, runbookSection } from './rule.ts';

export const ruleGroups: readonly RuleGroup[] = [
  { name: 'analytics-recordings', rules: recordings },
  ...Object.entries(alertGroups).map(([name, rules]) => ({ name, rules })),
];

/** A rule as Prometheus has it. */
export function plainRule(rule: RecordingRule | AlertRule, runbook: string) {
  if ('record' in rule) return { record: rule.record, expr: rule.expr };
  const { alert, expr, severity, summary, description } = rule;
  return {
    alert,
    expr,
    ...(rule.for === undefined ? {} : { for: rule.for }),
    labels: { severity },
    annotations: { summary, description, runbook_url: runbookSection(runbook, alert) },
  };
}

const generated = '# Written by `npm run dashboards` from scripts/dashboards; edit that.';

/** The rules as Prometheus itself reads them. */
export function rulesFile(runbook: string): string {
  return `${generated}\n${groupsYaml(runbook)}`;
}

/** The same rules for the Prometheus operator. */
export function prometheusRule(runbook: string): string {
  return `${generated}
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: analytics
  labels:
    app.kubernetes.io/name: analytics
spec:
${indented(2, groupsYaml(runbook))}`;
}

/*
 * YAML by hand: expressions want blocks, in which a person can read them, and everything else is a
 * string that JSON's quotes suit.
 */

function groupsYaml(runbook: string): string {
  const groups = ruleGroups.map(
    ({ name, rules }) => `  - name: ${name}
    rules:
${rules.map((rule) => indented(6, ruleYaml(rule, runbook))).join('')}`,
  );
  return `groups:\n${groups.join('')}`;
}

function ruleYaml(rule: RecordingRule | AlertRule, runbook: string): string {
  const plain = plainRule(rule, runbook);
  const lines = Object.entries(plain).map(([key, value]) => {
    if (key === 'expr') return `  expr: |-\n${indented(4, `${value}\n`)}`;
    if (typeof value === 'string') return `  ${key}: ${value}\n`;
    const pairs = Object.entries(value).map(([name, text]) => `    ${name}: ${quoted(text)}\n`);
    return `  ${key}:\n${pairs.join('')}`;
  });
  return lines.join('').replace('  ', '- ');
}

function quoted(text: string): string {
  return /^[a-z]+$/.test(text) ? text : JSON.stringify(text);
}

function indented(by: number, text: string): string {
  return text.replaceAll(/^(?=.)/gm, ' '.repeat(by));
}
