import type { Settings } from '../env.ts';

const mask = '[redacted]';

/*
 * Callers choose much of a line, so each pattern is linear in it: what one attempt runs over, no
 * other attempt runs over again. A pattern that began with a URL's scheme did, at each hyphen of
 * `a-a-a-`: 200 KB of that took 23 s.
 */

/**
 * Names whose values nobody may read, at any depth of a JSON line. What ends them may be missing, so
 * that no attempt fails at the end of what it ran over, and the next runs over the same.
 */
const secretFields =
  /"(authorization|proxy-authorization|cookie|set-cookie|x-gateway-secret)":(?:"(?:[^"\\]|\\.)*"?|\[(?:[^"[\]]|"(?:[^"\\]|\\.)*"?)*\]?)/gi;
/**
 * From `://` on, which no part of a match can hold again. Greedy up to the last `@` before a path: a
 * password may hold one that is not encoded.
 */
const urlPasswords = /(:\/\/[^\s:/@"\\]*):[^\s"/\\]*@/g;
const credentials = /\b(Bearer|Basic) [A-Za-z0-9._~+/=-]{8,}/g;
const signatures = /\b(X-Amz-Signature=|X-Amz-Security-Token=)[^\s&"\\]+/g;

/**
 * What JSON leaves as it is and terminals obey: DEL, the C1 controls, the marks that turn the
 * direction of text, and the two line ends that only JavaScript knows.
 */
const controls = /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** A shorter one, such as RabbitMQ's `guest`, is also an ordinary word; in URLs it is masked. */
const secretMinLength = 8;

/**
 * Takes secrets out of finished log lines: the values of the settings wherever they turn up, and
 * what looks like a credential. On the line, not by pino's `redact`: that knows paths, not values,
 * and took 21 µs a line where this takes 3. What a terminal would obey is escaped as well.
 */
export function redactor(settings: Partial<Settings>): (line: string) => string {
  const secrets = secretsOf(settings);
  return (line) => {
    let clean = line
      .replace(secretFields, `"$1":"${mask}"`)
      .replace(urlPasswords, `$1:${mask}@`)
      .replace(credentials, `$1 ${mask}`)
      .replace(signatures, `$1${mask}`);
    for (const secret of secrets) {
      if (clean.includes(secret)) clean = clean.replaceAll(secret, mask);
    }
    return clean.replace(controls, escaped);
  };
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Each as it is, and as it stands in a URL and in JSON. */
function secretsOf(settings: Partial<Settings>): string[] {
  const { DATABASE_URL, API_DATABASE_URL, RABBITMQ_URL, REDIS_URL } = settings;
  const { K_SINK, OTEL_EXPORTER_OTLP_ENDPOINT } = settings;
  const stores = [DATABASE_URL, API_DATABASE_URL, RABBITMQ_URL, REDIS_URL];
  const passwords = [...stores, K_SINK, OTEL_EXPORTER_OTLP_ENDPOINT]
    .flatMap((url) => (url === undefined ? [] : [new URL(url).password]))
    .flatMap((password) => [password, decoded(password)]);
  const { REDIS_TOKEN, S3_SECRET_KEY, GATEWAY_SHARED_SECRET, METRICS_TOKEN } = settings;
  const keys = [REDIS_TOKEN, S3_SECRET_KEY, GATEWAY_SHARED_SECRET, METRICS_TOKEN];
  const all = [...passwords, ...keys]
    .filter((secret) => secret !== undefined)
    .filter((secret) => secret.length >= secretMinLength)
    .flatMap((secret) => [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]);
  // The longest first: none may be left in pieces because a shorter one is part of it.
  return [...new Set(all)].sort((a, b) => b.length - a.length);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
