import { setTimeout as sleep } from 'node:timers/promises';
import { samplesOf } from './metrics-text.ts';

/** What Prometheus has once it has asked its targets. */
export interface Scrape {
  atSeconds: number;
  /** Of all that is exported what the rules look at. */
  samples: ReadonlyMap<string, number>;
}

/** A target that does not answer is down after this; Prometheus waits for 10 s. */
const answerMaxMs = 3_000;

/** One scrape stands for minutes here: what was only slow for a moment is asked again until then. */
const settledMs = 6_000;
const againMs = 250;

/** @param targets the address of each job's one target */
export async function scrape(targets: ReadonlyMap<string, string>): Promise<Scrape> {
  const deadline = performance.now() + settledMs;
  for (;;) {
    const found = await scrapeOnce(targets);
    if (isWhole(found) || performance.now() > deadline) return found;
    await sleep(againMs);
  }
}

/** All targets are up, and the numbers are there that the service reads last of all. */
function isWhole({ samples }: Scrape): boolean {
  const isDown = [...samples].some(([sample, value]) => sample.startsWith('up{') && value === 0);
  return !isDown && samples.has('analytics_usage_error_rate_max');
}

async function scrapeOnce(targets: ReadonlyMap<string, string>): Promise<Scrape> {
  const samples = new Map<string, number>();
  for (const [job, url] of targets) {
    const text = await metricsOf(url);
    samples.set(`up{job="${job}"}`, text === null ? 0 : 1);
    for (const [sample, value] of samplesOf(text ?? '')) {
      if (sample.startsWith('analytics_')) samples.set(sample, value);
    }
  }
  return { atSeconds: Date.now() / 1_000, samples };
}

async function metricsOf(url: string): Promise<string | null> {
  try {
    const signal = AbortSignal.timeout(answerMaxMs);
    const response = await fetch(`${url}/metrics`, { signal });
    return response.ok ? await response.text() : null;
  } catch {
    return null;
  }
}
