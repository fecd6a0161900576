import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../scripts/services/run-command.ts';
import { builtCheckout } from './built-checkout.ts';
import { writePrograms } from './program-folder.ts';

export interface Outcome {
  code: number;
  output: string;
  /** The calls of func, kubectl and npm, in order: the program and its arguments, tabs between. */
  calls: string[];
}

export interface RunOptions {
  /** Programs that are not on the PATH. */
  without?: readonly string[];
  environment?: Record<string, string>;
}

/**
 * A checkout of its own, built, with small overlays, where `func`, `kubectl` and `npm` only write
 * down what they are asked. They are told what to do by STUB_FAIL (calls with that text in them
 * fail), STUB_SECRETS (the Secrets there are; default all) and STUB_FUNC (the version of func).
 */
export interface DeployCheckout {
  folder: string;
  deploy(args: readonly string[], options?: RunOptions): Promise<Outcome>;
  /** Runs a script as a person would who pastes it into a shell. */
  shell(script: string): Promise<Outcome>;
  remove(): Promise<void>;
}

export async function deployCheckout(): Promise<DeployCheckout> {
  const folder = await builtCheckout();
  await writeFile(join(folder, '.gitignore'), 'node_modules\ndist/\n.data/\n/calls\n/bin/\n');
  await writeOverlays(join(folder, 'knative'));
  await commitAll(folder);

  const callsFile = join(folder, 'calls');
  const run = async (
    program: string,
    args: readonly string[],
    { without = [], environment = {} }: RunOptions,
  ): Promise<Outcome> => {
    await rm(callsFile, { force: true });
    const bin = join(folder, 'bin');
    await writeBin(bin, without);
    const { code, output } = await new Promise<Omit<Outcome, 'calls'>>((resolve) => {
      execFile(
        program,
        args,
        { cwd: folder, env: { PATH: bin, STUB_CALLS: callsFile, ...environment } },
        (error, stdout, stderr) => {
          const ended = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
          resolve({ code: ended, output: stdout + stderr });
        },
      );
    });
    const calls = await readFile(callsFile, 'utf8').catch(() => '');
    return { code, output, calls: calls.split('\n').filter((line) => line !== '') };
  };

  return {
    folder,
    deploy: (args, options = {}) =>
      run(process.execPath, ['--import', 'tsx', 'scripts/deploy.ts', ...args], options),
    shell: (script) => run('/bin/sh', ['-euc', script], {}),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

async function commitAll(folder: string): Promise<void> {
  const options = { cwd: folder, timeoutMs: 30_000 };
  await runCommand('git', ['init', '--quiet'], options);
  await runCommand('git', ['add', '--all'], options);
  const author = ['-c', 'user.name=test', '-c', 'user.email=test@example.com'];
  await runCommand('git', [...author, 'commit', '--quiet', '--message', 'all'], options);
}

/** As little as a deployment needs of the real ones: labels, and images by their short names. */
async function writeOverlays(folder: string): Promise<void> {
  await mkdir(join(folder, 'base'), { recursive: true });
  await writeFile(
    join(folder, 'base/all.yaml'),
    `apiVersion: v1
kind: ConfigMap
metadata: { name: analytics-settings, labels: { analytics-service/stage: prepare } }
---
apiVersion: batch/v1
kind: Job
metadata: { name: analytics-bootstrap, labels: { analytics-service/stage: bootstrap } }
spec: { template: { spec: { containers: [{ name: job, image: analytics-bootstrap }] } } }
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: { name: analytics-usage, labels: { analytics-service/stage: run } }
spec: { template: { spec: { containers: [{ image: analytics-usage }] } } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: analytics-consumer, labels: { analytics-service/stage: run } }
spec: { template: { spec: { containers: [{ name: consumer, image: analytics-consumer }] } } }
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: { name: analytics-consumer, labels: { analytics-service/stage: run } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: analytics, labels: { analytics-service/stage: run } }
`,
  );
  await writeFile(
    join(folder, 'secrets.example.yaml'),
    `kind: Secret
metadata: { name: analytics-redis }
stringData: { url: "rediss://USER:PASSWORD@HOST:6379", token: "" }
---
kind: Secret
metadata: { name: analytics-s3 }
stringData: { access-key: KEY, secret-key: a secret }
`,
  );
  await writeFile(
    join(folder, 'base/kustomization.yaml'),
    'namespace: analytics\nresources: [all.yaml]\n',
  );
  for (const overlay of ['development', 'production']) {
    await mkdir(join(folder, 'overlays', overlay), { recursive: true });
    await writeFile(
      join(folder, 'overlays', overlay, 'kustomization.yaml'),
      `# What ${overlay} has of its own.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - ../../base # everything
images:
  # Kept by hand.
  - name: sidecar
    newTag: "1"
  - name: analytics-usage
    newName: old.example.com/analytics-usage
    newTag: old
`,
    );
  }
}

/** Everything that a deployment may call, but for what is to be missing. */
async function writeBin(bin: string, without: readonly string[]): Promise<void> {
  const stubs = { func, kubectl, npm: '' };
  const present = (name: string) => !without.includes(name);
  await writePrograms(
    bin,
    Object.fromEntries(
      Object.entries(stubs).flatMap(([name, answer]) =>
        present(name) ? [[name, `${record}${answer}`]] : [],
      ),
    ),
    ['git', 'sh', 'cat', 'cp', 'mkdir', 'rm'].filter(present),
  );
}

const record = `{ printf '%s' "\${0##*/}"; printf '\\t%s' "$@"; echo; } >> "$STUB_CALLS"
if test -n "\${STUB_FAIL:-}"; then
  case "\${0##*/} $*" in *"$STUB_FAIL"*) echo "stub: \${0##*/} was told to fail" >&2; exit 3;; esac
fi
`;

const func = `test "$1" != version || echo "Version: v\${STUB_FUNC:-1.19.1}"
`;

const kubectl = `case "$*" in
  version*) echo '{"clientVersion": {"major": "1", "gitVersion": "v1.32.4"}}';;
  "auth can-i"*) echo yes;;
  "get namespace"*) echo namespace/analytics;;
  "get secret"*)
    shift 2
    for name; do
      case "$name" in --*) break;; esac
      case "\${STUB_SECRETS-$name}" in *"$name"*) echo "secret/$name";; esac
    done;;
  logs*) echo "what the Job said";;
esac
`;
