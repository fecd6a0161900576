import { type DashboardSpec, dashboard } from './dashboard.ts';
import { reliabilityDashboard } from './reliability-dashboard.ts';
import { prometheusRule, rulesFile } from './rules-file.ts';
import { usageDashboard } from './usage-dashboard.ts';

export interface GeneratedFile {
  /** From the repository's root. */
  path: string;
  text: string;
}

/** Everything that `npm run dashboards` writes. */
export function generatedFiles(runbook: string): GeneratedFile[] {
  const json = (spec: DashboardSpec) => formatted(dashboard(spec, runbook));
  return [
    { path: 'dashboards/usage.json', text: json(usageDashboard) },
    { path: 'dashboards/reliability.json', text: json(reliabilityDashboard) },
    { path: 'knative/alerts/rules.yaml', text: rulesFile(runbook) },
    { path: 'knative/base/alerts.yaml', text: prometheusRule(runbook) },
  ];
}

/** As the formatter of this repository has it: lists of words stay on their line. */
function formatted(value: unknown): string {
  const text = JSON.stringify(value, null, 2).replaceAll(
    /\[\n +([^[\]{}]*?)\n +\]/g,
    (_, items: string) => `[${items.replaceAll(/\n +/g, ' ')}]`,
  );
  return `${text}\n`;
}
