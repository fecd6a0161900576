import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { renderOverlay } from '../scripts/knative/render.ts';
import { runCommand } from '../scripts/services/run-command.ts';
import { type KubernetesApi, startKubernetesApi } from './support/kubernetes-api.ts';
import { runbookCommands } from './support/runbook.ts';
import { runningCluster } from './support/running-cluster.ts';

const consumerLog =
  'kubectl logs -n analytics -l app.kubernetes.io/name=analytics-consumer --tail -1 --since 30m';
const functionLog = (name: string) =>
  `kubectl logs -n analytics -l serving.knative.dev/service=${name} -c user-container --tail -1 --since 30m`;
const annotate = 'kubectl annotate scaledobject -n analytics analytics-consumer';

/** Of each name an object, as kubectl lists several kinds at once. */
const listed = (...names: string[]) => names.map((name) => new RegExp(`^${name}[ -]`, 'm'));
/** The first of more lines than kubectl shows of pods chosen by a label, unless asked for all. */
const logged = (name: string, container = 'user-container') => [
  new RegExp(`"pod":"${name}-[^"]*","container":"${container}","audit":"the first line"`),
];
const annotated = [/scaledobject\.keda\.sh\/analytics-consumer annotated/];

/** What each command must show of a cluster in which all runs. */
const shows: Record<string, RegExp[]> = {
  'kubectl get pods,ksvc,scaledobject,pingsource -n analytics': listed(
    'pod/analytics-consumer',
    'service.serving.knative.dev/analytics-status',
    'scaledobject.keda.sh/analytics-consumer',
    'pingsource.sources.knative.dev/analytics-refresh',
  ),
  'kubectl get scaledobject,deploy,pods -n analytics': listed(
    'scaledobject.keda.sh/analytics-consumer',
    'deployment.apps/analytics-consumer',
    'pod/analytics-consumer',
  ),
  'kubectl get pingsource,ksvc -n analytics': listed(
    'pingsource.sources.knative.dev/analytics-refresh',
    'service.serving.knative.dev/analytics-export-worker',
  ),
  'kubectl get pingsource -n analytics': listed('analytics-refresh'),
  'kubectl get ksvc -n analytics analytics-status': listed('analytics-status'),
  'kubectl get pods -n analytics': listed('analytics-consumer', 'analytics-usage-00001'),
  'kubectl get pods -n analytics -l serving.knative.dev/service=analytics-status':
    listed('analytics-status-00001'),
  'kubectl describe pods -n analytics': [/^Name: +analytics-consumer-/m, /^Events: /m],
  'kubectl describe scaledobject -n analytics analytics-consumer': [
    /^Name: +analytics-consumer$/m,
    /Name: +analytics-database$/m,
    /^Events: /m,
  ],
  [consumerLog]: logged('analytics-consumer', 'consumer'),
  [functionLog('analytics-refresh')]: logged('analytics-refresh'),
  [functionLog('analytics-verify')]: logged('analytics-verify'),
  [functionLog('analytics-status')]: logged('analytics-status'),
  [functionLog('analytics-export-worker')]: logged('analytics-export-worker'),
  [`${functionLog('analytics-usage')} | grep '"audit"'`]: logged('analytics-usage'),
  [`${functionLog('analytics-events')} | grep 'events refused'`]: [
    /"pod":"analytics-events-[^"]*","msg":"events refused"/,
  ],
  [`${annotate} autoscaling.keda.sh/paused-replicas=0`]: annotated,
  [`${annotate} autoscaling.keda.sh/paused-replicas-`]: annotated,
};

const commands = runbookCommands().filter((command) => command.startsWith('kubectl '));

test('it is known what each kubectl command of the runbook must show', () => {
  expect(Object.keys(shows).toSorted()).toEqual(commands.toSorted());
});

describe.skipIf(!inject('hasKubectl'))('kubectl, before a stand-in for the API server', () => {
  let api: KubernetesApi;

  beforeAll(async () => {
    api = await startKubernetesApi({
      objects: runningCluster(await renderOverlay('production')),
      logs: (pod, container) => [
        JSON.stringify({ pod, container, audit: 'the first line' }),
        JSON.stringify({ pod, msg: 'events refused' }),
        ...Array.from({ length: 20 }, () => '{"msg":"another line"}'),
      ],
    });
  });
  afterAll(() => api.close());

  const run = (command: string) =>
    runCommand('bash', ['-o', 'pipefail', '-c', command], {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, KUBECONFIG: api.kubeconfig },
      timeoutMs: 30_000,
    });

  test.each(commands)('%s', async (command) => {
    const output = await run(command);
    for (const pattern of shows[command] ?? []) expect(output).toMatch(pattern);
  });

  test('pausing the consumer, as the runbook says, is undone by the command after it', async () => {
    const [pause = '', resume = ''] = commands.filter((one) => one.startsWith('kubectl annotate'));
    const paused = () => {
      const scaled = api.objects.find(({ kind }) => kind === 'ScaledObject');
      return scaled?.metadata.annotations?.['autoscaling.keda.sh/paused-replicas'];
    };
    await run(pause);
    expect(paused()).toBe('0');
    await run(resume);
    expect(paused()).toBeUndefined();
  });
});
