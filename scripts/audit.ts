import { execFile } from 'node:child_process';
import { Command } from 'commander';
import * as z from 'zod';
import { runScript } from './run-script.ts';

new Command('npm run audit --')
  .description(
    'Looks for known vulnerabilities (high or critical) in what the service runs on. Where the registry does not answer such questions it says so, and fails nothing.',
  )
  .parse();

const answerMs = 60_000;
const npmAudit = [
  ...['audit', '--omit=dev', '--audit-level=high', '--json'],
  // One that is away is away: npm would ask for minutes.
  ...['--fetch-retries=0', '--fetch-timeout=20000'],
];

const report = z.object({
  vulnerabilities: z.record(
    z.string(),
    z.object({
      severity: z.string(),
      // Other packages by name, or what is known of this one.
      via: z.array(z.union([z.string(), z.object({ title: z.string(), url: z.string() })])),
    }),
  ),
  metadata: z.object({ dependencies: z.object({ prod: z.int() }) }),
});

/** What npm says of itself where it has no report. */
const failure = z.object({ message: z.string() });

function runNpm(): Promise<string> {
  return new Promise((resolve, reject) => {
    // Exit code 1 is a finding as well as a failure: the text tells them apart.
    execFile('npm', npmAudit, { timeout: answerMs }, (error, stdout) => {
      if (error !== null && stdout === '') reject(new Error(`npm audit: ${error.message}`));
      else resolve(stdout);
    });
  });
}

runScript(async () => {
  const answer: unknown = JSON.parse(await runNpm());
  const parsed = report.safeParse(answer);
  if (!parsed.success) {
    const reason = failure.safeParse(answer).data?.message ?? 'npm gave no report';
    console.log(`audit skipped, as the registry does not answer: ${reason}`);
    return;
  }
  const { vulnerabilities, metadata } = parsed.data;
  const grave = Object.entries(vulnerabilities).filter(([, { severity }]) =>
    ['high', 'critical'].includes(severity),
  );
  if (grave.length === 0) {
    console.log(`audit: nothing grave is known of ${metadata.dependencies.prod} packages`);
    return;
  }
  const lines = grave.map(([name, { severity, via }]) => {
    const reasons = via.map((one) =>
      typeof one === 'string' ? `by way of ${one}` : `${one.title} (${one.url})`,
    );
    return `  ${name}, ${severity}: ${reasons.join('; ')}`;
  });
  throw new Error(`vulnerable packages; npm audit fix may help:\n${lines.join('\n')}`);
});
