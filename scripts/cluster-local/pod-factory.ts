import { freePort } from '../services/free-port.ts';
import { containerEnv, type Keys, type References } from './container-env.ts';
import { programOf } from './image.ts';
import { type Kubelet, type Pod, startPod } from './pod.ts';
import type { Workload } from './workload.ts';

/**
 * Makes the starters of pods.
 *
 * @param settings take the place of the manifests' values, wherever a container is given one of them
 */
export function podFactory(
  kubelet: Kubelet,
  references: References,
  settings: Keys,
): (workload: Workload) => () => Promise<Pod> {
  const sparePorts: number[] = [];

  return (workload) => {
    const { name, container } = workload;
    const program = programOf(container);
    const given = environmentOf(workload, references);
    const replaced = Object.entries(settings).filter(([variable]) => variable in given);
    let started = 0;
    return async () => {
      const port = sparePorts.pop() ?? (await freePort());
      started += 1;
      const podName = `${name}-${started}`;
      const pod = startPod(
        {
          name: podName,
          program,
          env: {
            ...containerDefaults(podName),
            ...given,
            ...Object.fromEntries(replaced),
            ...workload.platformEnv,
            PORT: String(port),
            // Not for the network: here nothing but the router may reach a function.
            HTTP_HOST: '127.0.0.1',
          },
          port,
          readinessPath: container.readinessProbe?.httpGet?.path ?? null,
          terminationGraceMs: workload.terminationGraceMs,
        },
        kubelet,
      );
      void pod.ended.then(() => sparePorts.push(port));
      return pod;
    };
  };
}

function environmentOf({ name, container }: Workload, references: References): Keys {
  try {
    return containerEnv(container, references);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${name} cannot start: ${reason}`, { cause: error });
  }
}

/** What an image sets, and the kubelet. */
function containerDefaults(pod: string): Keys {
  return { PATH: process.env.PATH ?? '', HOSTNAME: pod, TZ: 'UTC', NODE_ENV: 'production' };
}
