import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { functionNames } from '../scripts/build.ts';
import { parseObjects } from '../scripts/knative/render.ts';
import { runCommand } from '../scripts/services/run-command.ts';
import { type DeployCheckout, deployCheckout } from './support/deploy-checkout.ts';

const registry = 'registry.example.com/team';
const production = ['--env', 'production', '--registry', registry, '--tag', 'v7'];
const services = functionNames().filter((name) => !['bootstrap', 'consumer'].includes(name));

let checkout: DeployCheckout;

beforeAll(async () => {
  checkout = await deployCheckout();
});
afterAll(() => checkout.remove());

/** A call as it is recorded. */
const call = (line: string) => line.replaceAll(' ', '\t');
const folder = '.data/deploy/production';
const image = (name: string) => `--image ${registry}/analytics-${name}:v7`;
const build = (name: string) => call(`func build --path ${folder}/${name} ${image(name)} --push`);
const deployFunction = (name: string) =>
  call(`func deploy --path ${folder}/${name} ${image(name)} --build --push --namespace analytics`);
const apply = (stage: string) =>
  call(`kubectl apply -k ${folder} -l analytics-service/stage=${stage}`);
const toolCalls = ['func version', 'kubectl version --client --output=json'].map(call);
const job = [
  call('kubectl delete job/analytics-bootstrap --ignore-not-found --namespace analytics'),
  apply('bootstrap'),
  call(
    'kubectl wait job/analytics-bootstrap --for=jsonpath={.status.conditions[0].status}=True --timeout=900s --namespace analytics',
  ),
  call(
    'kubectl wait job/analytics-bootstrap --for=condition=complete --timeout=30s --namespace analytics',
  ),
];
const logs = call('kubectl logs job/analytics-bootstrap --all-containers --namespace analytics');
const rollout = call(
  'kubectl rollout status deployment/analytics-consumer --timeout=300s --namespace analytics',
);
const ready = (...names: string[]) =>
  call(
    `kubectl wait ${names.map((name) => `ksvc/analytics-${name}`).join(' ')} --for=condition=Ready --timeout=300s --namespace analytics`,
  );
const cluster = (...secrets: string[]) =>
  [
    'kubectl auth can-i create services.serving.knative.dev --namespace analytics',
    'kubectl get namespace analytics --ignore-not-found --output=name',
    `kubectl get secret ${secrets.map((name) => `analytics-${name}`).join(' ')} --namespace analytics --ignore-not-found --output=name`,
  ].map(call);

/** What kubectl would apply: kind and name, and the image where there is one. */
async function rendered(): Promise<string[]> {
  const at = join(checkout.folder, folder);
  const text = await runCommand('kubectl', ['kustomize', at], { timeoutMs: 30_000 });
  return parseObjects(text).map(({ kind, metadata, ...rest }) => {
    const found = /"image":"([^"]+)"/.exec(JSON.stringify(rest))?.[1];
    return [kind, metadata.name, found].filter((word) => word !== undefined).join(' ');
  });
}

/** Every call of a deployment of everything, in order. */
const everything = [
  ...toolCalls,
  ...cluster('database', 'gateway', 'metrics', 'rabbitmq', 'redis', 's3'),
  call('npm run build'),
  apply('prepare'),
  build('bootstrap'),
  build('consumer'),
  ...job,
  ...services.map(deployFunction),
  apply('run'),
  ready(...services),
  rollout,
];

describe('deploy all', () => {
  test('does everything in its order: what pods need, the Job, the functions, the rest', async () => {
    const { code, output, calls } = await checkout.deploy(['all', ...production]);
    expect(code, output).toBe(0);
    expect(calls).toEqual(everything);
    expect(output).toMatch(/# try it: npm run smoke -- --url https:\/\/HOST\n$/);
  });

  test('is what is deployed when no name is given', async () => {
    expect(await checkout.deploy(production)).toMatchObject({ code: 0, calls: everything });
  });

  test('leaves the checkout as it was, and hands func a copy of each function', async () => {
    const status = await runCommand('git', ['status', '--porcelain'], {
      cwd: checkout.folder,
      timeoutMs: 10_000,
    });
    expect(status).toBe('');
    for (const name of functionNames()) {
      const at = (...path: string[]) => readFile(join(checkout.folder, ...path), 'utf8');
      expect(await at(folder, name, 'func.yaml')).toBe(await at('functions', name, 'func.yaml'));
      expect(await at(folder, name, 'dist/index.cjs')).not.toBe('');
    }
  });

  test('gives the manifests the images that were pushed, whatever the overlay names', async () => {
    expect(await rendered()).toEqual([
      'ConfigMap analytics-settings',
      `Service analytics-usage ${registry}/analytics-usage:v7`,
      `Deployment analytics-consumer ${registry}/analytics-consumer:v7`,
      `Job analytics-bootstrap ${registry}/analytics-bootstrap:v7`,
      'ScaledObject analytics-consumer',
      'VirtualService analytics',
    ]);
  });
});

describe('deploy of some', () => {
  test('a function touches that function alone', async () => {
    const { code, calls } = await checkout.deploy(['usage', ...production]);
    expect(code).toBe(0);
    expect(calls).toEqual([
      ...toolCalls,
      ...cluster('database', 'gateway'),
      call('npm run build'),
      deployFunction('usage'),
      apply('run'),
      ready('usage'),
    ]);
    expect(await rendered()).toEqual([`Service analytics-usage ${registry}/analytics-usage:v7`]);
  });

  test('the consumer is built by func and put there by kubectl', async () => {
    const { code, calls } = await checkout.deploy(['consumer', ...production]);
    expect(code).toBe(0);
    expect(calls).toEqual([
      ...toolCalls,
      ...cluster('database', 'rabbitmq', 'redis'),
      call('npm run build'),
      build('consumer'),
      apply('run'),
      rollout,
    ]);
    expect(await rendered()).toEqual([
      `Deployment analytics-consumer ${registry}/analytics-consumer:v7`,
      'ScaledObject analytics-consumer',
    ]);
  });

  test('the bootstrap Job runs anew and to its end', async () => {
    const { code, calls } = await checkout.deploy(['bootstrap', ...production]);
    expect(code).toBe(0);
    expect(calls.slice(-6)).toEqual([call('npm run build'), build('bootstrap'), ...job]);
  });
});

describe('a dry run', () => {
  test('runs nothing and needs no tool', async () => {
    const { code, output, calls } = await checkout.deploy(['all', ...production, '--dry-run'], {
      without: ['func', 'kubectl', 'npm', 'git'],
    });
    expect({ code, calls }, output).toEqual({ code: 0, calls: [] });
  });

  test.each([[['all']], [['usage', 'consumer']]])(
    'of %j, pasted into a shell, does what a real run does',
    async (names) => {
      const { output } = await checkout.deploy([...names, ...production, '--dry-run']);
      await rm(join(checkout.folder, folder), { recursive: true });
      const pasted = await checkout.shell(output);
      expect(pasted.code, pasted.output).toBe(0);
      const files = await filesBelow(join(checkout.folder, folder));
      const real = await checkout.deploy([...names, ...production]);
      expect(pasted.calls).toEqual(real.calls);
      expect(await filesBelow(join(checkout.folder, folder))).toEqual(files);
    },
  );
});

describe('before anything is done', () => {
  const untouched = (calls: string[]) => calls.every((line) => !/apply|build|deploy/.test(line));

  test.each([
    ['func', /func is missing, for .*: https:\/\/knative\.dev/],
    ['kubectl', /kubectl is missing, for deploying: https:\/\/kubernetes\.io/],
  ])('a missing %s is named with the place to get it', async (tool, message) => {
    const { code, output, calls } = await checkout.deploy(production, { without: [tool] });
    expect(code).toBe(1);
    expect(output).toMatch(message);
    expect(untouched(calls)).toBe(true);
  });

  test('both missing tools are named at once, and one that is too old', async () => {
    const both = await checkout.deploy(production, { without: ['func', 'kubectl'] });
    expect(both.output).toMatch(/func is missing[\s\S]*kubectl is missing/);
    const old = await checkout.deploy(production, { environment: { STUB_FUNC: '1.9.2' } });
    expect(old).toMatchObject({
      code: 1,
      output: expect.stringContaining('func 1.9.2 is too old'),
    });
  });

  test('every missing Secret is named with the command that makes it', async () => {
    const { code, output, calls } = await checkout.deploy(production, {
      environment: { STUB_SECRETS: 'analytics-database analytics-rabbitmq analytics-gateway' },
    });
    expect(code).toBe(1);
    const create = (name: string, values: string) =>
      `Secret ${name} is missing: kubectl create secret generic ${name} --namespace analytics ${values}\n`;
    const url = '--from-literal=url=rediss://USER:PASSWORD@HOST:6379';
    expect(output).toContain(create('analytics-redis', `${url} --from-literal=token=`));
    const key = "--from-literal=access-key=KEY '--from-literal=secret-key=a secret'";
    expect(output).toContain(create('analytics-s3', key));
    expect(output).not.toContain('analytics-gateway is missing');
    expect(untouched(calls)).toBe(true);
  });

  test('a cluster that is away or refuses is said to be so', async () => {
    const { code, output, calls } = await checkout.deploy(production, {
      environment: { STUB_FAIL: 'auth can-i' },
    });
    expect(code).toBe(1);
    expect(output).toMatch(/the cluster does not let you deploy .*kubectl config get-contexts/);
    expect(calls).toHaveLength(3);
  });
});

describe('what fails', () => {
  test('is the last thing: a Job that fails shows its log and no function is deployed', async () => {
    const { code, output, calls } = await checkout.deploy(production, {
      environment: { STUB_FAIL: 'condition=complete' },
    });
    expect(code).toBe(1);
    const before = everything.slice(0, everything.indexOf(job[3] ?? '') + 1);
    expect(calls).toEqual([...before, logs]);
    expect(output).toContain('what the Job said');
    expect(output).toMatch(/condition=complete.*: exit code 3; nothing after it was done\n$/);
  });

  test('is the last thing: func deploy', async () => {
    const { code, output, calls } = await checkout.deploy(production, {
      environment: { STUB_FAIL: 'func deploy --path .data/deploy/production/exports' },
    });
    expect(code).toBe(1);
    expect(calls).toEqual(everything.slice(0, everything.indexOf(deployFunction('exports')) + 1));
    expect(output).toMatch(/exit code 3; nothing after it was done\n$/);
  });
});

describe('wrong usage ends with 2 and the way out', () => {
  test.each([
    ['a name that is none', ['usages', ...production], /no function usages; there are bootstrap, /],
    ['no registry', ['--env', 'production'], /--registry ghcr\.io\/team, or FUNC_REGISTRY/],
    ['no environment', ['--registry', registry], /--env/],
    ['another environment', ['--env', 'prod'], /development, production/],
    ['an option that is none', [...production, '--force'], /unknown option '--force'/],
  ])('%s', async (_, args, message) => {
    const { code, output, calls } = await checkout.deploy(args);
    expect({ code, calls }).toEqual({ code: 2, calls: [] });
    expect(output).toMatch(message);
    expect(output).not.toMatch(/ at .*\.ts/);
  });
});

describe('names of images', () => {
  const tagOf = (output: string) => /analytics-usage:(\S+)/.exec(output)?.[1];
  const args = ['usage', '--env', 'production', '--dry-run'];
  const environment = { FUNC_REGISTRY: `${registry}/` };

  test('have the registry of FUNC_REGISTRY and the short commit', async () => {
    const commit = await runCommand('git', ['rev-parse', '--short=12', 'HEAD'], {
      cwd: checkout.folder,
      timeoutMs: 10_000,
    });
    const { output } = await checkout.deploy(args, { environment });
    expect(tagOf(output)).toBe(commit.trim());
    expect(output).toContain(` ${registry}/analytics-usage:`);
  });

  test('say that files differed from the commit, and when', async () => {
    const file = join(checkout.folder, 'functions/usage/app.ts');
    const text = await readFile(file, 'utf8');
    try {
      await writeFile(file, `${text}// changed\n`);
      const { output } = await checkout.deploy(args, { environment });
      expect(tagOf(output)).toMatch(/^[0-9a-f]{12}-dirty-\d{8}T\d{6}$/);
    } finally {
      await writeFile(file, text);
    }
  });

  test('need a tag where there is no commit', async () => {
    expect(await checkout.deploy(args, { environment, without: ['git'] })).toMatchObject({
      code: 2,
      output: expect.stringContaining('--tag'),
    });
  });
});

describe('--gitops', () => {
  const overlay = 'knative/overlays/production/kustomization.yaml';

  test('pushes every image, names them in the overlay, and leaves the cluster alone', async () => {
    const { code, output, calls } = await checkout.deploy([...production, '--gitops'], {
      without: ['kubectl'],
    });
    expect(code, output).toBe(0);
    expect(calls).toEqual([
      call('func version'),
      call('npm run build'),
      ...functionNames().map(build),
    ]);
    const text = await readFile(join(checkout.folder, overlay), 'utf8');
    expect(text).toMatch(/^# What production has of its own\.\n/);
    expect(text).toContain('- ../../base # everything\n');
    expect(text).toMatch(/# Kept by hand\.\n +- name: sidecar\n +newTag: "1"\n/);
    expect(text).not.toContain('old');
    expect(text.match(/newTag: v7/g)).toHaveLength(functionNames().length);
    expect(output).toContain(`commit and push ${overlay}`);
  });

  test('names one image and keeps the others', async () => {
    const args = ['usage', '--env', 'production', '--registry', registry, '--tag', 'v8'];
    expect(await checkout.deploy([...args, '--gitops'])).toMatchObject({ code: 0 });
    const text = await readFile(join(checkout.folder, overlay), 'utf8');
    expect(text).toMatch(/name: analytics-usage\n +newName: \S+\/analytics-usage\n +newTag: v8\n/);
    expect(text.match(/newTag: v7/g)).toHaveLength(functionNames().length - 1);
  });
});

/** Paths and texts, for a comparison. */
async function filesBelow(path: string): Promise<Record<string, string>> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const found: Record<string, string> = {};
  for (const entry of entries.filter((one) => one.isFile())) {
    const file = join(entry.parentPath, entry.name);
    found[file] = await readFile(file, 'utf8');
  }
  return found;
}
