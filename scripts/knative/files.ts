import { stringify } from 'yaml';
import { readFuncYaml } from './func-yaml.ts';
import { revisions } from './revisions.ts';
import { knativeService } from './service.ts';

export interface GeneratedManifest {
  /** From the repository's root. */
  path: string;
  text: string;
}

const header =
  '# Written by `npm run manifests` from functions/*/func.yaml and scripts/knative; edit those.\n';

/** Everything that `npm run manifests` writes. */
export function generatedManifests(): GeneratedManifest[] {
  const services = Object.entries(revisions).map(([name, revision]) =>
    stringify(knativeService(readFuncYaml(name), revision), {
      aliasDuplicateObjects: false,
      lineWidth: 0,
    }),
  );
  return [{ path: 'knative/base/functions.yaml', text: header + services.join('---\n') }];
}
