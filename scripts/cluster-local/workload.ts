import type { Keys } from './container-env.ts';
import type { Sink } from './delivery.ts';
import type { Container, Deployment, Job, KnativeService, SinkBinding } from './manifests.ts';

/** What runs in pods: a Service, a Deployment or a Job. */
export interface Workload {
  name: string;
  container: Container;
  terminationGraceMs: number;
  /** What the platform gives beside the manifest's variables. */
  platformEnv: Keys;
}

/**
 * @param brokers what sink bindings refer to, by name
 * @throws Error when its SinkBinding refers to a broker that is not there.
 */
export function serviceWorkload(
  { metadata: { name }, spec: { template } }: KnativeService,
  sinkBindings: readonly SinkBinding[],
  brokers: ReadonlyMap<string, Sink>,
): Workload {
  const { containers, timeoutSeconds } = template.spec;
  const binding = sinkBindings.find(
    ({ spec: { subject } }) => subject.kind === 'Service' && subject.name === name,
  );
  const sink = binding === undefined ? undefined : brokers.get(binding.spec.sink.ref.name);
  if (binding !== undefined && sink === undefined) {
    throw new Error(`SinkBinding ${binding.metadata.name}: there is no such broker`);
  }
  return {
    name,
    container: containers[0],
    // Knative gives a pod as long to end as a request may take.
    terminationGraceMs: timeoutSeconds * 1_000,
    platformEnv: {
      K_SERVICE: name,
      K_CONFIGURATION: name,
      K_REVISION: `${name}-00001`,
      ...(sink === undefined ? {} : { K_SINK: sink.url }),
    },
  };
}

export function templateWorkload({ metadata: { name }, spec }: Deployment | Job): Workload {
  const { containers, terminationGracePeriodSeconds } = spec.template.spec;
  return {
    name,
    container: containers[0],
    terminationGraceMs: terminationGracePeriodSeconds * 1_000,
    platformEnv: {},
  };
}
