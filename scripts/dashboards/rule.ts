/** A number kept under a name of its own: `level:metric:operation`. */
export interface RecordingRule {
  record: string;
  expr: string;
}

export interface AlertRule {
  alert: string;
  expr: string;
  /** How long it must hold; at once when absent. */
  for?: string;
  severity: 'critical' | 'warning';
  /** One line for a pager; Prometheus templates are filled in. */
  summary: string;
  /** What it means, and why the rule is as it is where that is not plain. */
  description: string;
}

export interface RuleGroup {
  name: string;
  rules: readonly (RecordingRule | AlertRule)[];
}

/** Where the runbook is read; `npm run dashboards -- --runbook URL` writes another. */
export const defaultRunbook =
  'https://github.com/ai-aas/analytics-service/blob/main/docs/runbook.md';

/** The runbook's section of an alert: its name is the heading, and headings make anchors. */
export function runbookSection(runbook: string, heading: string): string {
  const anchor = heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');
  return `${runbook}#${anchor}`;
}
