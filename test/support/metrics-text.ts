/** Samples of Prometheus text: `name{label="value"}` as it is written → its value. */
export function samplesOf(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const at = line.lastIndexOf(' ');
    samples.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return samples;
}

/** The samples of one metric, by the value of one of their labels. */
export function byLabel(
  samples: ReadonlyMap<string, number>,
  name: string,
  label: string,
): Map<string, number> {
  const found = new Map<string, number>();
  for (const [sample, value] of samples) {
    if (!sample.startsWith(`${name}{`)) continue;
    const [, of] = new RegExp(`[{,]${label}="([^"]*)"`).exec(sample) ?? [];
    if (of !== undefined) found.set(of, value);
  }
  return found;
}
