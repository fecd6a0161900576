/** What an unused column may be: each with the targets that would take it. */
const kinds: readonly { looksLike: RegExp; target: (name: string) => string }[] = [
  {
    looksLike:
      /cost|spend|spent|price|(^|_)(usd|eur|dollars?|cents?|amount|charged?|billed|fees?)(_|$)/,
    target: (name) => {
      if (/cent/.test(name)) return 'costEstimateCents';
      return /usd|dollar/.test(name) ? 'costEstimateUsd' : 'costEstimateUsd|costEstimateCents';
    },
  },
  {
    looksLike: /model|provider|(^|_)(engine|deployment)(_|$)/,
    target: (name) => (/provider/.test(name) ? 'provider' : 'model'),
  },
  {
    looksLike: /(^|_)(org|organi[sz]ation|tenant|workspace)(_|$)/,
    target: () => 'orgId',
  },
  {
    looksLike:
      /client|user|customer|consumer|api_?key|(^|_)(key|account|app|application|caller|team|project)(_|$)/,
    target: (name) => {
      if (/user/.test(name)) return 'user';
      return /team|project/.test(name) ? `metadata.${name}` : 'clientId';
    },
  },
  {
    looksLike:
      /status|(^|_)(errors?|err|success|succeeded|failed|failure|outcome|exception)(_|$)|(http|response|error)_?code/,
    target: (name) => {
      if (/fail|is_error/.test(name)) return 'failed';
      if (/^err(or)?s?$/.test(name)) return 'errorCode|failed';
      return /err|exception/.test(name) ? 'errorCode' : 'status';
    },
  },
  {
    looksLike:
      /latency|duration|elapsed|(response|processing|total)_?time|(^|_)(took|runtime)(_|$)/,
    target: (name) => {
      if (/(^|_)(ms|millis|milliseconds)(_|$)/.test(name)) return 'latencyMs';
      return /(^|_)(s|secs?|seconds)(_|$)/.test(name)
        ? 'latencySeconds'
        : 'latencySeconds|latencyMs';
    },
  },
];

/**
 * What a column by its name may hold that events have a field for, as what `--map` would call it;
 * undefined where its loss invents nothing.
 */
export function likelyTarget(column: string): string | undefined {
  const name = column
    .replace(/([a-z\d])([A-Z])/g, '$1_$2')
    .replace(/[^\p{L}\d]+/gu, '_')
    .toLowerCase();
  return kinds.find(({ looksLike }) => looksLike.test(name))?.target(name);
}

const namedMax = 30;

/** Names for people, the first of very many. */
export function namesText(names: readonly string[]): string {
  const text = names
    .slice(0, namedMax)
    .map((name) => (name.length > 60 ? `${name.slice(0, 59)}…` : name))
    .join(', ');
  return names.length > namedMax ? `${text} and ${names.length - namedMax} more` : text;
}

/** Why columns that would be lost stop a replay, and the way out; undefined where none does. */
export function refusalOf(path: string, unused: readonly string[]): string | undefined {
  const likely = unused.filter((name) => likelyTarget(name) !== undefined);
  if (likely.length === 0) return undefined;
  const shown = likely.slice(0, namedMax);
  const maps = shown.map((name) => `--map ${quoted(`${name}=${likelyTarget(name)}`)}`);
  return (
    `${path}: events would lose ${namesText(likely)}, and have values made here in their place; ` +
    `say what they hold, such as ${maps.join(' ')}, or leave them out by ` +
    shown.map((name) => `--ignore ${quoted(name)}`).join(' ')
  );
}

/** For a shell, which would take a `|` or a space for its own. */
function quoted(text: string): string {
  return /^[\w.=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
