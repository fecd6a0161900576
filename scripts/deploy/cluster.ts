import { join } from 'node:path';
import { type DeployedFunction, ofForm } from './functions.ts';
import { type Images, imageOf } from './images.ts';
import { command, type Step } from './step.ts';

/** A first migration of much data may take a while. */
const jobTimeout = '--timeout=900s';
/** A cold cluster has to fetch images. */
const readyTimeout = '--timeout=300s';

/**
 * What is done to the cluster that kubectl is pointed at.
 *
 * @param folder holds the manifests to apply, and below it a copy of each function for func
 */
export function cluster(folder: string, images: Images, namespace: string) {
  const inNamespace = ['--namespace', namespace] as const;
  const kubectl = (...args: string[]) => ['kubectl', ...args, ...inNamespace] as const;

  const apply = (stage: 'prepare' | 'bootstrap' | 'run') =>
    command(['kubectl', 'apply', '-k', folder, '-l', `analytics-service/stage=${stage}`]);

  return {
    /** The objects of a stage, as their labels have it. */
    apply,

    /** Anew each time, and to its end: a Job's pods cannot be changed. */
    runJob({ object }: DeployedFunction): Step[] {
      const job = `job/${object}`;
      const logs = kubectl('logs', job, '--all-containers');
      // Complete is not waited for at once, as a Job that failed never comes to it. The first
      // condition that a Job gets says that it is over, and the second wait how.
      const isOver = '--for=jsonpath={.status.conditions[0].status}=True';
      return [
        command(kubectl('delete', job, '--ignore-not-found')),
        apply('bootstrap'),
        command(kubectl('wait', job, isOver, jobTimeout), logs),
        command(kubectl('wait', job, '--for=condition=complete', '--timeout=30s'), logs),
      ];
    },

    deployService(one: DeployedFunction): Step {
      const path = join(folder, one.name);
      const image = imageOf(one, images);
      return command([
        ...(['func', 'deploy', '--path', path, '--image', image] as const),
        ...['--build', '--push', ...inNamespace],
      ]);
    },

    untilReady(functions: readonly DeployedFunction[]): Step[] {
      const services = functions.filter(ofForm('service')).map(({ object }) => `ksvc/${object}`);
      const deployments = functions.filter(ofForm('deployment'));
      return [
        ...(services.length === 0
          ? []
          : [command(kubectl('wait', ...services, '--for=condition=Ready', readyTimeout))]),
        ...deployments.map(({ object }) =>
          command(kubectl('rollout', 'status', `deployment/${object}`, readyTimeout)),
        ),
      ];
    },
  };
}
