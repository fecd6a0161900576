import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import type { Supervisor } from './supervisor.ts';

export interface PrometheusOptions {
  /** Its own, private, existing folder. */
  folder: string;
  supervisor: Supervisor;
  /** The port on loopback whose `/metrics` is scraped. */
  targetPort: number;
  /** The `job` label of what it scrapes. */
  job: string;
  rulesFile: string;
  /** Between scrapes, and between evaluations of the rules. */
  intervalSeconds: number;
}

/** Debian's Prometheus on 127.0.0.1, scraping one service. Gives its address. */
export async function runPrometheus(options: PrometheusOptions): Promise<string> {
  const { folder, supervisor, targetPort, job, rulesFile, intervalSeconds } = options;
  const config = join(folder, 'prometheus.json');
  const data = join(folder, 'data');
  await mkdir(data, { recursive: true });
  const interval = `${intervalSeconds}s`;
  // JSON is YAML.
  const settings = {
    global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
    rule_files: [rulesFile],
    scrape_configs: [{ job_name: job, static_configs: [{ targets: [`127.0.0.1:${targetPort}`] }] }],
  };
  await writeFile(config, JSON.stringify(settings), { mode: 0o600 });
  const address = `127.0.0.1:${await freePort()}`;
  const server = supervisor.start({
    name: 'prometheus',
    command: 'prometheus',
    args: [
      `--config.file=${config}`,
      `--storage.tsdb.path=${data}`,
      `--web.listen-address=${address}`,
      '--log.level=warn',
    ],
    logFile: join(folder, 'prometheus.log'),
    cwd: folder,
  });
  const url = `http://${address}`;
  await server.ready(async () => {
    const response = await fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(1_000) });
    if (!response.ok) throw new Error(`it answers ${response.status}`);
  }, 20_000);
  return url;
}
