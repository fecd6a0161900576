import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { exportBench } from './bench/export.ts';
import { type Bench, type Figure, isMet, type Scale } from './bench/figure.ts';
import { jsonLine, machine, table } from './bench/report.ts';
import { buildFunctions } from './build.ts';
import { runScript } from './run-script.ts';
import { startServices } from './services/start.ts';

const benches: readonly Bench[] = [exportBench];
const names = benches.map(({ name }) => name);

const program = new Command('npm run bench --')
  .description('Measures figures beside their ceilings, in turns, on servers of its own')
  .addArgument(new Argument('[names...]', `which: ${names.join(', ')}; all when left out`))
  .option('--json', 'one JSON object per line', false)
  .addOption(
    new Option('--scale <scale>', 'how much data').choices(['small', 'full']).default('small'),
  )
  .option('--rounds <n>', 'how often each side is measured', readRounds, 3)
  .parse();
const { json, scale, rounds } = program.opts<{ json: boolean; scale: Scale; rounds: number }>();
const wanted = program.args.length === 0 ? names : program.args;

runScript(async () => {
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    throw new Error(`no figure is called ${unknown.join(', ')}: ${names.join(', ')}`);
  }
  const chosen = benches.filter(({ name }) => wanted.includes(name));
  const say = (line: string) => process.stderr.write(`${line}\n`);
  await buildFunctions();
  const only = [...new Set(chosen.flatMap(({ needs }) => needs))];
  const services = await startServices({ only, log: say });
  const figures: Figure[] = [];
  try {
    for (const bench of chosen) {
      const measured = await bench.run({ env: services.env, scale, rounds, say });
      figures.push(...measured);
      if (json) for (const figure of measured) console.log(jsonLine(figure));
    }
  } finally {
    await services.stop();
  }
  if (!json) {
    console.log(`${machine()}; scale ${scale}, ${rounds} rounds, medians\n`);
    console.log(table(figures));
  }
  if (figures.some((figure) => isMet(figure) === false)) process.exitCode = 1;
});

function readRounds(text: string): number {
  if (/^[1-9]\d?$/.test(text)) return Number(text);
  throw new InvalidArgumentError('must be a whole number from 1 to 99');
}
