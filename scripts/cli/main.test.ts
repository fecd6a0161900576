import { describe, expect, test } from 'vitest';
import { analyticsHere } from '../../test/support/analytics-here.ts';

const id = '7b0c3bd6-52f5-4c3e-9a3e-5f3f4f3c0a01';
const nobody = { ANALYTICS_URL: 'http://127.0.0.1:2', ANALYTICS_ORG: id };

test.each([
  ['', 'analytics: needs a command'],
  ['usages', "analytics: unknown command 'usages'"],
  ['exports', 'exports: needs create, list, show, wait or download'],
  ['exports made', "exports: unknown command 'made'"],
  ['dlq', 'dlq: needs list, show, replay or drop'],
  ['catalog', 'catalog: needs import'],
  ['usage --fast', "usage: unknown option '--fast'"],
  ['usage more', 'usage: too many arguments'],
  ['usage --org acme', 'usage: --org must be a uuid'],
  ['usage --url ftp://x', 'usage: --url must be an http:// URL'],
  ['usage --url http://me:secret@x', 'usage: --url must have no user, query or fragment'],
  ['usage --start soon', 'usage: --start must be an RFC 3339 date-time'],
  ['usage --start soon --end never', 'usage: --start and --end must be'],
  ['usage --start now --end 7d', 'usage: --end must be after --start'],
  ['usage --timezone Mars/Base', 'usage: --timezone must be an IANA time zone'],
  ['usage --granularity week', 'usage: option'],
  ['usage --token a --subject b', 'usage: option'],
  ['usage --gateway-secret ü', 'usage: --gateway-secret must be printable ASCII'],
  ['reliability --group-by org', 'reliability: option'],
  ['orgs --limit 0', 'orgs: --limit must be a whole number from 1 to 500'],
  ['freshness --compare --clear', 'freshness: option'],
  ['exports create --format pdf', 'exports: option'],
  ['exports create --timeout soon', 'exports: --timeout must be a duration'],
  ['exports create --all-orgs --model chat', 'exports: --model must be an id with --all-orgs'],
  ['exports create --output package.json', 'exports: package.json is there already: --force'],
  ['exports list --status done', 'exports: option'],
  ['exports show', "exports: missing required argument 'export'"],
  ['exports show ../etc', 'exports: ../etc must be the id of an export'],
  ['exports download 1', 'exports: 1 must be the id of an export'],
  ['events send', "events: missing required argument 'file'"],
  ['events send nowhere.json', 'events: nowhere.json cannot be read'],
  ['replay', "replay: missing required argument 'file'"],
  ['seed --events 3', 'seed: --events must be a whole number from 20'],
  ['seed --to stream', 'seed: --to stream needs RABBITMQ_URL'],
  ['verify --days 0', 'verify: --days must be a whole number of days from 1 to 400'],
  ['refresh --from 2026-11-01', 'refresh: --from and --to go together'],
  ['refresh --from 2d --to 3d', 'refresh: --to must be after --from'],
  ['migrate', 'migrate: wrong settings: DATABASE_URL is required'],
  ['completion tcsh', 'completion: error'],
])('wrong usage is exit code 2 and one line: analytics %s', async (line, words) => {
  const args = line.split(' ').filter(Boolean);
  const { code, stdout, stderr } = await analyticsHere(args, nobody);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr.startsWith(words.replace(': error', ': '))).toBe(true);
  expect(stderr).toMatch(/^[^\n]+\n$/);
});

test.each([['usage'], ['reliability'], ['freshness'], ['models'], ['exports list']])(
  'analytics %s without an org says how to name one',
  async (line) => {
    const { code, stderr } = await analyticsHere(line.split(' '), {
      ANALYTICS_URL: 'http://127.0.0.1:2',
    });
    expect(code).toBe(2);
    expect(stderr).toMatch(/--org is needed, or ANALYTICS_ORG/);
  },
);

test.each([
  ['usage'],
  ['reliability'],
  ['freshness'],
  ['models'],
  ['orgs'],
  ['exports create'],
  ['exports list'],
  [`exports show ${id}`],
  [`exports wait ${id} --timeout 1s`],
  [`exports download ${id}`],
  ['events validate package.json'],
  ['events send package.json'],
  ['seed --to http'],
  ['smoke --skip-exports'],
])('nobody there is exit code 3: analytics %s', async (line) => {
  const { code, stderr, stdout } = await analyticsHere(line.split(' '), nobody);
  expect({ code, stdout: line.startsWith('smoke') ? '' : stdout }).toEqual({ code: 3, stdout: '' });
  if (line.startsWith('smoke')) expect(stdout).toMatch(/nothing answers/);
  else expect(stderr.trimEnd().split('\n').at(-1)).toMatch(/127\.0\.0\.1:2.*ECONNREFUSED/);
});

describe('help and completions', () => {
  test('every command has help, with the options that it shares with others', async () => {
    for (const line of ['usage', 'exports create', 'events send', 'dlq drop', 'replay', 'verify']) {
      const { code, stdout } = await analyticsHere([...line.split(' '), '--help']);
      expect(code).toBe(0);
      expect(stdout).toMatch(new RegExp(`^Usage: analytics ${line} `));
      expect(stdout).toContain('--json');
    }
  });

  test.each([
    ['help', /^Usage: analytics \[options\] \[command\]/],
    ['help usage', /^Usage: analytics usage /],
    ['exports help', /^Usage: analytics exports /],
    ['exports help create', /^Usage: analytics exports create /],
  ])('analytics %s is help that was asked for', async (line, words) => {
    const { code, stdout, stderr } = await analyticsHere(line.split(' '));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(words);
  });

  test.each([
    [['complete', '--', 'exp'], /^exports\t/],
    [['complete', '--', 'exports', ''], /^create\t[\s\S]*^download\t/m],
    [['complete', '--', 'exports', 'create', '--f'], /^--format\t/m],
    [['complete', '--', 'exports', 'create', '--format', ''], /^csv\t[\s\S]*^focus\t/m],
    [['complete', '--', 'completion', ''], /^zsh\t[\s\S]*^bash\t[\s\S]*^fish\t/m],
  ])('%j completes', async (args, words) => {
    const { code, stdout } = await analyticsHere(args);
    expect(code).toBe(0);
    expect(stdout).toMatch(words);
  });

  test.each(['bash', 'zsh', 'fish'])('a script for %s', async (shell) => {
    const { code, stdout } = await analyticsHere(['completion', shell]);
    expect(code).toBe(0);
    expect(stdout).toContain('analytics complete --');
  });
});
