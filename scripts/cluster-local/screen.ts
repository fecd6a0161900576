import type { Cluster } from './cluster.ts';
import type { ClusterEvent } from './cluster-event.ts';
import type { Stores } from './stores.ts';

/** What a person is told once the cluster runs. */
export function greetingOf(cluster: Cluster, { secrets, settings }: Stores): string {
  const { url, host, brokerUrls, keptWarm, leftOut } = cluster;
  const metricsUrl = `${cluster.metricsUrl}/analytics-status/metrics`;
  const secret = secrets['analytics-gateway']?.secret ?? '';
  const replaced = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
  return [
    `  routes       ${url}/analytics/v1 (deployed: https://${host}/analytics/v1)`,
    `  metrics      ${metricsUrl}`,
    ...Object.entries(brokerUrls).map(([name, at]) => `  broker       ${at} (${name})`),
    `  kept warm    ${keptWarm.join(', ') || 'none'}; the others start with their first request`,
    `  replaced     PORT, HTTP_HOST, ${replaced.join(', ')}`,
    `  not imitated ${summaryOf(leftOut)}`,
    '',
    'Try:',
    `  curl -s '${url}/analytics/v1/status/readyz'`,
    `  GATEWAY_SHARED_SECRET=${secret} npm run smoke -- --url ${url} --metrics-url ${metricsUrl}`,
    '',
    'Ctrl-C stops it.',
  ].join('\n');
}

/** One line for what happened, in columns; null for what happens all the time. */
export function lineOf(event: ClusterEvent, at: Date): string | null {
  const time = at.toISOString().slice(11, 19);
  const line = (subject: string, what: string, detail: string) =>
    `${time} ${subject.padEnd(28)} ${what.padEnd(13)} ${detail}`.trimEnd();
  switch (event.kind) {
    case 'pod':
      return line(event.pod, event.phase, event.detail);
    case 'scale':
      return line(event.workload, 'scaled', `to ${event.replicas}: ${event.detail}`);
    case 'delivery': {
      if (event.from.startsWith('PingSource') && event.outcome === 'delivered') return null;
      const attempt = event.attempt > 1 ? `, attempt ${event.attempt}` : '';
      const detail = `${event.type} to ${event.to}${attempt}: ${event.detail || 'taken'}`;
      return line(event.from, event.outcome, detail);
    }
  }
}

/** `2 NetworkPolicy, Namespace` of `NetworkPolicy a`, `NetworkPolicy b` and `Namespace c`. */
function summaryOf(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) {
    const [kind = ''] = name.startsWith('trigger ') ? [name] : name.split(' ');
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].map(([kind, count]) => (count === 1 ? kind : `${count} ${kind}`)).join(', ');
}
