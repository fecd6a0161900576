import type { Command } from 'commander';
import { createCli } from './cli.ts';
import { analyticsProgram } from './program.ts';

export const cliDocsFile = new URL('../../docs/cli.md', import.meta.url);

const introduction = `# The command line

Written by \`npm run cli-docs\` from the definitions of the commands; a test compares the two.

\`\`\`sh
npm ci
npx analytics usage --org 00000000-0000-0000-0000-000000000001 --start 7d
\`\`\`

The same commands are behind \`npm run seed\`, \`replay\`, \`dlq\`, \`refresh\`, \`verify\`, \`freshness\`,
\`catalog\`, \`migrate\` and \`smoke\`.

**Where, and who asks.** Commands that ask the API take \`--url\`, and \`--token\` for a bearer token;
\`ANALYTICS_URL\`, \`ANALYTICS_TOKEN\` and \`ANALYTICS_ORG\` say it once for all (whoever may list the
machine's processes sees options). Without a token they name the actor as a gateway would, an admin
unless told otherwise, which a service believes that has no gateway in front, or whose secret they
have (\`GATEWAY_SHARED_SECRET\`). Commands that run the service take its own settings, such as
\`DATABASE_URL\` and \`RABBITMQ_URL\`.

**Answers** go to standard output: a table for people, plain text with columns two spaces apart where
no terminal is, without colour where \`NO_COLOR\` is set; or with \`--json\` one JSON value on one line,
which for what the API answers is its answer, digit for digit. Everything else goes to standard
error, a fault as one line that begins with the command's name. What others sent is shown with its
control characters written out.

| exit code | |
|---|---|
| 0 | done |
| 1 | failed, or not all is well: a check failed, some were rejected |
| 2 | wrong usage: the command line, the settings, or what the API found wrong with the question |
| 3 | somebody who is needed does not answer, or cannot for now |

**Times** of \`--start\`, \`--end\`, \`--since\`, \`--until\`, \`--from\` and \`--to\` are RFC 3339
(\`2026-11-22T20:00:00Z\`), a date or a date-time of the zone (\`2026-11-22\`, \`2026-11-22T20:00\`),
\`now\`, \`today\`, \`yesterday\`, \`this-month\`, \`last-month\`, or how long ago: \`90m\` and \`24h\` to the
moment, \`7d\` and \`2w\` to the beginning of that day. Days and months are those of \`--timezone\`.

**Files.** A download is written to \`FILE.part\`, readable by its owner only, and takes its name once
its size and SHA-256 are those of the export; it never takes the place of another file without
\`--force\`. One that breaks off begins anew, at most three times.

**Completions** are for a command called \`analytics\`, so give the shell one, then its script:

\`\`\`sh
analytics() { node /path/to/analytics-service/scripts/analytics.mjs "$@"; }
source <(analytics completion bash)     # or zsh; in fish: analytics completion fish | source
\`\`\`
`;

/** The help of every command, as docs/cli.md has it. */
export function cliDocs(): string {
  const program = analyticsProgram(createCli(() => {}));
  const sections = commandsOf(program).map(({ name, command }) => {
    return `## ${name}\n\n\`\`\`text\n${helpOf(command)}\n\`\`\`\n`;
  });
  return [introduction, ...sections].join('\n');
}

/** Those that do something, by their whole names. */
function commandsOf(parent: Command): { name: string; command: Command }[] {
  return parent
    .createHelp()
    .visibleCommands(parent)
    .filter((command) => command.name() !== 'help')
    .flatMap((command) => {
      const inner = commandsOf(command);
      return inner.length > 0 ? inner : [{ name: wholeName(command), command }];
    });
}

function wholeName(command: Command): string {
  const { parent } = command;
  return parent === null ? command.name() : `${wholeName(parent)} ${command.name()}`;
}

function helpOf(command: Command): string {
  let text = '';
  command.configureHelp({ helpWidth: 100 });
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return text.trimEnd();
}
