import { Command, Option } from 'commander';
import { messageOf } from '../shared/platform/errors.ts';
import { chooseFunctions } from './deploy/functions.ts';
import { clusterStages, type Deployment, gitopsStages } from './deploy/plan.ts';
import { buildChecks, type Check, clusterChecks } from './deploy/preflight.ts';
import type { Stage } from './deploy/step.ts';
import { tagOfCheckout } from './deploy/tag.ts';
import { type Overlay, overlays } from './knative/render.ts';
import { runScript } from './run-script.ts';

interface Options {
  env: Overlay;
  registry?: string;
  tag?: string;
  namespace: string;
  dryRun: boolean;
  gitops: boolean;
}

const program = new Command('npm run deploy --')
  .description(
    'Builds functions and deploys them; npm run bootstrap -- --check-only lists the tools',
  )
  .argument('[names...]', 'functions, as their folders are called, or all (default)')
  .addOption(
    new Option('--env <environment>', 'the overlay in knative/overlays')
      .choices(overlays)
      .makeOptionMandatory(),
  )
  .addOption(
    new Option('--registry <registry>', 'where images go, such as ghcr.io/team').env(
      'FUNC_REGISTRY',
    ),
  )
  .option('--tag <tag>', 'the tag of the images (default: the short commit)')
  .option('--namespace <namespace>', 'where the overlay puts everything', 'analytics')
  .option('--dry-run', 'prints every command in order and runs none', false)
  .option('--gitops', 'pushes images and writes their names into the overlay, for Argo CD', false)
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .parse();

runScript(async () => {
  const { dryRun, gitops, ...options } = program.opts<Options>();
  const deployment = await readDeployment(program.args, options);
  const { environment, functions, namespace } = deployment;
  const checks = gitops ? buildChecks() : clusterChecks(functions, namespace);
  const stages = gitops ? gitopsStages(deployment) : clusterStages(deployment);
  if (dryRun) print(checks.flat(), stages);
  else await deploy(checks, stages);
  console.log(
    gitops
      ? `# commit and push knative/overlays/${environment}/kustomization.yaml, and Argo CD does the rest`
      : '# try it: npm run smoke -- --url https://HOST',
  );
});

/** What cannot be is wrong usage, and ends with exit code 2. */
async function readDeployment(
  names: readonly string[],
  { env: environment, registry, tag, namespace }: Omit<Options, 'dryRun' | 'gitops'>,
): Promise<Deployment> {
  try {
    if (registry === undefined) {
      throw new Error('no registry to push images to: --registry ghcr.io/team, or FUNC_REGISTRY');
    }
    const wanted = names.length === 0 ? ['all'] : names;
    return {
      environment,
      namespace,
      functions: chooseFunctions(wanted),
      isWhole: wanted.includes('all'),
      images: {
        registry: registry.replace(/\/+$/, ''),
        tag: tag ?? (await tagOfCheckout()),
      },
    };
  } catch (error) {
    return program.error(messageOf(error));
  }
}

function print(checks: readonly Check[], stages: readonly Stage[]): void {
  for (const { title, steps } of [{ title: 'checks', steps: checks }, ...stages]) {
    console.log(`# ${title}`);
    for (const { shell } of steps) console.log(shell);
  }
}

/** @throws Error that names every fault a round of checks found, or the step that failed. */
async function deploy(
  checks: readonly (readonly Check[])[],
  stages: readonly Stage[],
): Promise<void> {
  for (const round of checks) {
    const faults: string[] = [];
    for (const check of round) faults.push(...(await check.faults()));
    if (faults.length > 0) throw new Error(`nothing was deployed:\n${faults.join('\n')}`);
  }
  for (const { title, steps } of stages) {
    console.log(`# ${title}`);
    for (const step of steps) {
      console.log(step.shell);
      await step.run();
    }
  }
}
