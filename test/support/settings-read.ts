import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { settingNames } from '../../shared/platform/env.ts';

export interface SettingsRead {
  /** Whether its requests come with actors, so that it starts as one that asks for their secret. */
  knowsActors: boolean;
  /** Those without which it does not start. */
  required: ReadonlySet<string>;
  /** Those that its code names, the required ones among them. */
  read: ReadonlySet<string>;
}

/** What `streamPartitions`, which is part of the module that names every setting, reads. */
const partitionSettings = ['RABBITMQ_STREAM', 'RABBITMQ_STREAM_PARTITIONS'];

/**
 * The settings that a program's code names: its own and that of the modules it imports, as far as
 * they are used. Left out are the module that parses all settings, and the log's, which masks the
 * values of every secret that it is given.
 *
 * @param name of a function, or of a script such as `bootstrap`
 */
export function settingsRead(name: string): Promise<SettingsRead> {
  const reading = known.get(name) ?? readCode(name);
  known.set(name, reading);
  return reading;
}

const known = new Map<string, Promise<SettingsRead>>();

async function readCode(name: string): Promise<SettingsRead> {
  const { outputFiles } = await build({
    entryPoints: [entryOf(name)],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    external: ['*/env.ts', '*/redaction.ts'],
    legalComments: 'none',
    logLevel: 'silent',
  });
  const code = outputFiles.map(({ text }) => text).join('\n');
  const named = settingNames.filter((setting) => new RegExp(`\\b${setting}\\b`).test(code));
  const required = code.matchAll(/requireSetting\(\w+, "([A-Z0-9_]+)"/g);
  const knowsActors = !/\brunInternalFunction\(|knowsActors: false/.test(code);
  // All that serve identify actors, some of them to no purpose.
  const own = named.filter((setting) => knowsActors || setting !== 'GATEWAY_SHARED_SECRET');
  return {
    knowsActors,
    read: new Set([...own, ...(/\bstreamPartitions\(/.test(code) ? partitionSettings : [])]),
    required: new Set([...required].flatMap(([, setting = '']) => setting)),
  };
}

function entryOf(name: string): string {
  const file = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
  const own = file(`functions/${name}/index.ts`);
  return existsSync(own) ? own : file(`scripts/${name}.ts`);
}
