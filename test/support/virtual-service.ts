import * as z from 'zod';

const uri = z.union([
  z.strictObject({ exact: z.string() }),
  z.strictObject({ prefix: z.string() }),
  z.strictObject({ regex: z.string() }),
]);
const method = z.union([
  z.strictObject({ exact: z.string() }),
  z.strictObject({ regex: z.string() }),
]);

/** Strict: what these tests do not understand, they must not pass over. */
const form = z.looseObject({
  hosts: z.array(z.string()),
  http: z.array(
    z.strictObject({
      name: z.string(),
      match: z.array(z.strictObject({ uri, method: method.optional() })).min(1),
      rewrite: z.strictObject({ authority: z.string() }),
      route: z
        .array(
          z.strictObject({
            destination: z.strictObject({
              host: z.string(),
              port: z.strictObject({ number: z.number() }),
            }),
          }),
        )
        .length(1),
      timeout: z.string().optional(),
      retries: z.unknown().optional(),
    }),
  ),
});

export interface Rule {
  name: string;
  /** The function's host within the cluster. */
  authority: string;
  /** Where Envoy sends it. */
  destination: string;
  match: z.output<typeof form>['http'][number]['match'];
}

export interface Routing {
  hosts: string[];
  rules: Rule[];
}

/** @throws ZodError for a VirtualService with more in it than these tests understand. */
export function readVirtualService(spec: unknown): Routing {
  const { hosts, http } = form.parse(spec);
  return {
    hosts,
    rules: http.map(({ name, match, rewrite, route }) => ({
      name,
      match,
      authority: rewrite.authority,
      destination: route.map(({ destination: { host, port } }) => `${host}:${port.number}`).join(),
    })),
  };
}

/** The rule that Envoy would take for a request: the first that matches; undefined is its 404. */
export function ruleFor(
  { hosts, rules }: Routing,
  request: { host: string; method: string; path: string },
): Rule | undefined {
  if (!hosts.includes(request.host)) return undefined;
  // Neither query nor fragment counts.
  const [path = ''] = request.path.split(/[?#]/);
  return rules.find(({ match }) =>
    match.some(
      (one) =>
        matches(one.uri, path) && (one.method === undefined || matches(one.method, request.method)),
    ),
  );
}

/** A regex matches as a whole, without flags. */
function matches(by: z.output<typeof uri>, text: string): boolean {
  if ('exact' in by) return text === by.exact;
  if ('prefix' in by) return text.startsWith(by.prefix);
  return new RegExp(`^(?:${by.regex})$`).test(text);
}

/**
 * Every path that a rule's regex can match, with `*` for a segment: what is in the regex and not in
 * the code shows, too. Reads groups, `|`, `?`, `[^/]+` and plain text.
 *
 * @throws Error for a regex with more than that, and for a prefix, which matches without end.
 */
export function pathsOf({ match }: Rule): string[] {
  return match.flatMap(({ uri: by }) => {
    if ('exact' in by) return [by.exact];
    if ('prefix' in by) throw new Error(`the prefix ${by.prefix} lets everything below it in`);
    return expand(by.regex);
  });
}

function expand(regex: string): string[] {
  const tokens = regex.match(/\[\^\/\]\+|[\w/.-]|[()|?]/g) ?? [];
  if (tokens.join('') !== regex) throw new Error(`this test cannot read the regex ${regex}`);
  let at = 0;
  const alternatives = (): string[] => {
    const all = sequence();
    while (tokens[at] === '|') {
      at += 1;
      all.push(...sequence());
    }
    return all;
  };
  const sequence = (): string[] => {
    let so = [''];
    while (at < tokens.length && tokens[at] !== '|' && tokens[at] !== ')') {
      let part: string[];
      const token = tokens[at];
      at += 1;
      if (token === '(') {
        part = alternatives();
        at += 1;
      } else part = [token === '[^/]+' ? '*' : (token ?? '')];
      if (tokens[at] === '?') {
        part = ['', ...part];
        at += 1;
      }
      so = so.flatMap((head) => part.map((tail) => head + tail));
    }
    return so;
  };
  return alternatives();
}
