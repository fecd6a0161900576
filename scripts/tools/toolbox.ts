import { hasComposeEngine } from '../services/compose.ts';
import { runCommand } from '../services/run-command.ts';
import { func, kubectl } from './deploy-tools.ts';
import { type Finding, findTool, isOlder, type Tool } from './tool.ts';

const node: Tool = {
  name: 'node',
  version: ['--version'],
  least: '20.19',
  purpose: 'everything',
  get: 'https://nodejs.org/en/download',
};

const npm: Tool = {
  name: 'npm',
  version: ['--version'],
  least: '10',
  purpose: 'everything',
  get: 'https://nodejs.org/en/download (it comes with Node)',
};

const git: Tool = {
  name: 'git',
  version: ['--version'],
  least: '2.20',
  purpose: 'naming images after commits',
  get: 'https://git-scm.com/downloads',
};

const psql: Tool = {
  name: 'psql',
  version: ['--version'],
  least: '14',
  purpose: 'looking into the database, as the runbook does',
  get: 'https://www.postgresql.org/download (Debian: postgresql-client)',
};

/** Midnight Commander has the same name, and no release of this form. */
const mc: Tool = {
  name: 'mc',
  version: ['--version'],
  pattern: /RELEASE\.(\d{4}-\d{2}-\d{2})/,
  least: '2021',
  purpose: 'looking into the bucket',
  get: 'https://min.io/docs/minio/linux/reference/minio-mc.html',
};

const aws: Tool = {
  name: 'aws',
  version: ['--version'],
  least: '1.29',
  purpose: 'looking into the bucket',
  get: 'https://aws.amazon.com/cli',
};

export interface ToolReport extends Finding {
  /** Without it nothing works; all others are for some work only. */
  isRequired: boolean;
}

/** Looks for every program that some work on this project takes. */
export async function lookForTools(): Promise<ToolReport[]> {
  const required = [findTool(node), findTool(npm)];
  const others = [testServers(), ...[git, psql, kubectl, func].map(findTool), oneOf(mc, aws)];
  const [forAll, forSome] = await Promise.all([Promise.all(required), Promise.all(others)]);
  return [
    ...forAll.map((finding) => ({ ...finding, isRequired: true })),
    ...forSome.map((finding) => ({ ...finding, isRequired: false })),
  ];
}

async function oneOf(first: Tool, second: Tool): Promise<Finding> {
  const findings = await Promise.all([findTool(first), findTool(second)]);
  const there = findings.find(({ isThere }) => isThere);
  return there ?? { isThere: false, words: findings.map(({ words }) => words).join('; or ') };
}

/** By Debian's names, with the oldest that the tests are known to pass on. */
const debianServers = [
  ['postgresql', '15'],
  ['rabbitmq-server', '3.10'],
  ['redis-server', '6'],
  ['radosgw', '16.2'],
] as const;

/** The servers of the tests: containers, or Debian's packages. */
async function testServers(): Promise<Finding> {
  if (await hasComposeEngine()) {
    const version = await runCommand('docker', ['compose', 'version', '--short'], {
      timeoutMs: 5_000,
    });
    return { isThere: true, words: `Docker Compose ${version.trim()}` };
  }
  const versions = await Promise.all(debianServers.map(([name]) => debianVersion(name)));
  const found = debianServers.map(([name], index) => `${name} ${versions[index]}`);
  const lacking = debianServers.filter(([, least], index) => isOlder(versions[index] ?? '', least));
  if (lacking.length === 0) {
    return { isThere: true, words: `no Docker Compose, but ${found.join(', ')}` };
  }
  const names = lacking.map(([name, least]) => `${name} ${least}`).join(', ');
  return {
    isThere: false,
    words: `neither an engine with Docker Compose nor ${names}, for the servers of the tests: https://docs.docker.com/engine/install, or apt-get install on Debian (as root npm test does that)`,
  };
}

/** Empty for a package that is not installed. */
async function debianVersion(name: string): Promise<string> {
  const line = ['--show', name];
  const said = await runCommand('dpkg-query', line, { timeoutMs: 5_000 }).catch(() => '');
  return /\t(?:\d+:)?([\d.]+)/.exec(said)?.[1] ?? '';
}
