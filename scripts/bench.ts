import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { messageOf } from '../shared/platform/errors.ts';
import { coldStartBench } from './bench/cold-start.ts';
import { exportBench } from './bench/export.ts';
import { type Bench, type Figure, isMet, type Scale } from './bench/figure.ts';
import { foldBench } from './bench/fold.ts';
import { freshnessBench } from './bench/freshness.ts';
import { ingestBench } from './bench/ingest.ts';
import { ingestLargeBench } from './bench/ingest-large.ts';
import { percentilesBench } from './bench/percentiles.ts';
import { jsonLine, machine, type Report, table, versionsOf } from './bench/report.ts';
import { storageBench } from './bench/storage.ts';
import { usageQueryBench } from './bench/usage-query.ts';
import { keepReport, writeDocuments } from './bench/write.ts';
import { buildFunctions } from './build.ts';
import { runScript } from './run-script.ts';
import { startServices } from './services/start.ts';

const benches: readonly Bench[] = [
  coldStartBench,
  freshnessBench,
  ingestBench,
  ingestLargeBench,
  foldBench,
  usageQueryBench,
  percentilesBench,
  exportBench,
  storageBench,
];
const names = benches.map(({ name }) => name);

const program = new Command('npm run bench --')
  .description('Measures figures beside their ceilings, in turns, on servers of its own')
  .addArgument(new Argument('[names...]', `which: ${names.join(', ')}; all when left out`))
  .option('--json', 'one JSON object per line', false)
  .option('--write', 'keep all figures in docs/performance.json, and write what is made of it')
  .option('--documents', 'measure nothing: write the documents from docs/performance.json')
  .addOption(
    new Option('--scale <scale>', 'how much data; tiny only shows that it works')
      .choices(['tiny', 'small', 'full'])
      .default('small'),
  )
  .option('--rounds <n>', 'how often each side is measured', readRounds, 3)
  .parse();
const { json, scale, rounds, write, documents } = program.opts<{
  json: boolean;
  write?: boolean;
  documents?: boolean;
  scale: Scale;
  rounds: number;
}>();
const wanted = program.args.length === 0 ? names : program.args;
const say = (line: string) => process.stderr.write(`${line}\n`);

runScript(async () => {
  if (documents === true) return writeDocuments();
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    throw new Error(`no figure is called ${unknown.join(', ')}: ${names.join(', ')}`);
  }
  const chosen = benches.filter(({ name }) => wanted.includes(name));
  // docs/scaling.md counts with the small scale; the full one takes hours, a part of it is worth having.
  if (
    write === true &&
    (scale === 'tiny' || (scale === 'small' && chosen.length < benches.length))
  ) {
    throw new Error('--write keeps whole runs of scale small, and any of full');
  }
  const report = await measure(chosen);
  if (!json) {
    console.log(`${report.machine}; ${report.versions.join('; ')}`);
    console.log(`scale ${scale}, ${rounds} rounds, medians\n`);
    console.log(table(report.figures));
  }
  if (report.figures.some((figure) => isMet(figure) === false)) process.exitCode = 1;
  if (write === true && process.exitCode !== failed) {
    await keepReport(report);
    await writeDocuments();
  }
});

/** The exit code when a figure could not be measured at all. */
const failed = 2;

async function measure(chosen: readonly Bench[]): Promise<Report> {
  await buildFunctions();
  const only = [...new Set(chosen.flatMap(({ needs }) => needs))];
  const services = await startServices({ only, log: say });
  const { env } = services;
  const figures: Figure[] = [];
  const endings: (() => Promise<void>)[] = [];
  const context = {
    env,
    scale,
    rounds,
    say,
    atEnd: (work: () => Promise<void>) => endings.push(work),
  };
  try {
    const versions = await versionsOf(env);
    for (const bench of chosen) {
      const startedMs = performance.now();
      try {
        const measured = await bench.run(context);
        figures.push(...measured);
        if (json) for (const figure of measured) console.log(jsonLine(figure));
      } catch (error) {
        // The others are worth having all the same.
        say(`${bench.name} FAILED: ${messageOf(error)}`);
        process.exitCode = failed;
      }
      say(`${bench.name}: ${((performance.now() - startedMs) / 1_000).toFixed(0)} s`);
    }
    const date = new Date().toISOString().slice(0, 10);
    return { scale, rounds, date, machine: machine(), versions, figures };
  } finally {
    for (const end of endings) await end();
    await services.stop();
  }
}

function readRounds(text: string): number {
  if (/^[1-9]\d?$/.test(text)) return Number(text);
  throw new InvalidArgumentError('must be a whole number from 1 to 99');
}
