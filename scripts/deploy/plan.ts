import type { Overlay } from '../knative/render.ts';
import { cluster } from './cluster.ts';
import { type DeployedFunction, ofForm } from './functions.ts';
import {
  buildAndPush,
  type Images,
  imagesInOverlay,
  overlayWithImages,
  withCopies,
} from './images.ts';
import { command, type Stage } from './step.ts';

export interface Deployment {
  environment: Overlay;
  images: Images;
  /** Where the overlay puts everything. */
  namespace: string;
  functions: readonly DeployedFunction[];
  /** With what belongs to no function: accounts, settings, routes, schedules, alerts. */
  isWhole: boolean;
}

/**
 * Builds and pushes images, and brings the cluster to them: first what pods need to start, then the
 * Job that migrates, then the functions, which may need its schema.
 */
export function clusterStages(deployment: Deployment): Stage[] {
  const { environment, images, namespace, functions, isWhole } = deployment;
  const { folder, copies } = withCopies(environment, functions);
  const { apply, runJob, deployService, untilReady } = cluster(folder, images, namespace);
  const services = functions.filter(ofForm('service'));
  const jobs = functions.filter(ofForm('job'));
  const others = functions.filter((one) => !services.includes(one));
  const running = functions.filter((one) => !jobs.includes(one));

  return [
    { title: 'bundles', steps: [buildBundles] },
    { title: 'copies for func, which writes into the func.yaml it is given', steps: copies },
    {
      title: `the manifests of ${environment}, with these images`,
      steps: [overlayWithImages(folder, environment, functions, images, isWhole)],
    },
    { title: 'what pods need to start', steps: isWhole ? [apply('prepare')] : [] },
    {
      title: 'images of what func does not deploy',
      steps: others.map((one) => buildAndPush(folder, one, images)),
    },
    { title: 'schema, stream and bucket', steps: jobs.flatMap(runJob) },
    { title: 'functions', steps: services.map(deployService) },
    {
      // After func, which gives each new revision no annotations but those it knows.
      title: 'what func cannot say, and what is no function',
      steps: running.length > 0 ? [apply('run')] : [],
    },
    { title: 'until all are ready', steps: untilReady(running) },
  ].filter(({ steps }) => steps.length > 0);
}

/** Builds and pushes images and writes their names into the overlay, for Argo CD to find there. */
export function gitopsStages({ environment, images, functions }: Deployment): Stage[] {
  const { folder, copies } = withCopies(environment, functions);
  return [
    { title: 'bundles', steps: [buildBundles] },
    { title: 'copies for func, which writes into the func.yaml it is given', steps: copies },
    { title: 'images', steps: functions.map((one) => buildAndPush(folder, one, images)) },
    {
      title: `their names, in the overlay of ${environment}`,
      steps: [imagesInOverlay(environment, functions, images)],
    },
  ];
}

const buildBundles = command(['npm', 'run', 'build']);
