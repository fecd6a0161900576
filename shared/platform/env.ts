import * as z from 'zod';

/** Thrown when the environment does not parse: one message that names every fault. */
export class SettingsError extends Error {
  override name = 'SettingsError';
}

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;
const durationPattern = /^(\d{1,9})(ms|s|m|h)$/;

function toMs(text: string): number {
  const [, amount, unit] = durationPattern.exec(text) ?? [];
  return Number(amount) * unitMs[unit as keyof typeof unitMs];
}

/** `250ms`, `30s`, `5m`, `24h` → milliseconds. */
export function duration(fallback: string, { min = '0ms', max = '999999999h' } = {}) {
  return z
    .string()
    .regex(durationPattern, 'must be a duration such as 250ms, 30s, 5m or 24h')
    .default(fallback)
    .transform(toMs)
    .pipe(
      z.number().min(toMs(min), `must be at least ${min}`).max(toMs(max), `must be at most ${max}`),
    );
}

const wholeNumber = z.string().regex(/^\d{1,15}$/, 'must be a whole number');

function between(min: number, max: number) {
  return z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`);
}

function integer(fallback: number, min: number, max: number) {
  return wholeNumber.default(String(fallback)).transform(Number).pipe(between(min, max));
}

function oneOf<const Name extends string>(...names: [Name, ...Name[]]) {
  return z.enum(names, { error: `must be one of ${names.join(', ')}` });
}

function flag(fallback: boolean) {
  return z
    .enum(['true', 'false', '1', '0'], 'must be true or false')
    .default(fallback ? 'true' : 'false')
    .transform((text) => text === 'true' || text === '1');
}

function url(...schemes: string[]) {
  return z
    .string()
    .refine(
      (text) => URL.canParse(text) && schemes.includes(new URL(text).protocol.slice(0, -1)),
      `must be a URL starting with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`,
    )
    .optional();
}

const settingsSchema = z.object({
  SERVICE_NAME: z.string().default('analytics-service'),
  ENVIRONMENT: oneOf('development', 'test', 'staging', 'production').default('development'),
  HTTP_PORT: integer(8084, 0, 65_535),
  PORT: wholeNumber.transform(Number).pipe(between(0, 65_535)).optional(),
  HTTP_HOST: z.string().optional(),
  DATABASE_URL: url('postgres', 'postgresql'),
  // The API's own user. Deployed, its functions are given it as DATABASE_URL.
  API_DATABASE_URL: url('postgres', 'postgresql'),
  DATABASE_DRIVER: oneOf('auto', 'pg', 'neon').default('auto'),
  REDIS_URL: url('redis', 'rediss', 'https', 'http'),
  REDIS_TOKEN: z.string().optional(),
  RABBITMQ_URL: url('amqp', 'amqps'),
  RABBITMQ_STREAM: z.string().min(1).max(200).default('analytics.usage.v1'),
  RABBITMQ_STREAM_PARTITIONS: integer(1, 1, 256),
  RABBITMQ_STREAM_MAX_AGE: z
    .string()
    .regex(/^\d+[YMDhms]$/, 'must be an age such as 7D, 12h or 30m')
    .default('7D'),
  RABBITMQ_STREAM_MAX_BYTES: integer(20_000_000_000, 1_000_000, 1e15),
  S3_ENDPOINT: url('http', 'https'),
  S3_ACCESS_KEY: z.string().optional(),
  S3_SECRET_KEY: z.string().optional(),
  S3_BUCKET: z.string().min(3).max(63).default('analytics-exports'),
  S3_REGION: z.string().default('us-east-1'),
  S3_SSE: oneOf('AES256', 'aws:kms').optional(),
  K_SINK: url('http', 'https'),
  // Knative sets it in every container of its Services.
  K_SERVICE: z.string().optional(),
  OTEL_EXPORTER_OTLP_ENDPOINT: url('http', 'https'),
  LOG_LEVEL: oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent').default('info'),
  INGESTION_BATCH_SIZE: integer(5_000, 1, 50_000),
  INGESTION_BATCH_TIMEOUT: duration('250ms'),
  EXPORT_WORKER_INTERVAL: duration('30s', { min: '1s', max: '24h' }),
  EXPORT_WORKER_CONCURRENCY: integer(2, 1, 64),
  // Seven days is what S3's signatures allow.
  EXPORT_SIGNED_URL_TTL: duration('24h', { min: '1s', max: '168h' }),
  EXPORT_RETENTION_DAYS: integer(90, 1, 3_650),
  BILLING_CURRENCY: z
    .string()
    .regex(/^[A-Z]{3}$/, 'must be an ISO 4217 code such as USD')
    .default('USD'),
  FOCUS_PROVIDER_NAME: z.string().optional(),
  FRESHNESS_CACHE_TTL: duration('60s'),
  RAW_RETENTION_DAYS: integer(400, 1, 3_650),
  ROLLUP_RETENTION_DAYS: integer(400, 1, 3_650),
  RAW_COMPRESS_AFTER_DAYS: integer(7, 2, 3_650),
  ENABLE_RBAC: flag(true),
  AUTH_MODE: oneOf('gateway', 'jwt').default('gateway'),
  GATEWAY_SHARED_SECRET: z.string().min(16, 'must have at least 16 characters').optional(),
  JWT_JWKS_URL: url('https', 'http').refine(
    (text) => text === undefined || !/^[^/]*\/\/[^/]*@/.test(text),
    'must not hold a user or password',
  ),
  JWT_ISSUER: z.string().optional(),
  JWT_AUDIENCE: z.string().optional(),
  METRICS_TOKEN: z.string().min(16, 'must have at least 16 characters').optional(),
  RATE_LIMIT_PER_MINUTE: integer(600, 0, 1_000_000),
});

export type Settings = Readonly<z.output<typeof settingsSchema>>;

/** Every environment variable that the service knows. */
export const settingNames: readonly string[] = Object.keys(settingsSchema.shape);

/**
 * Parses the environment once, as a whole. An empty value counts as not set, as manifests and
 * shells often leave one behind.
 *
 * @param knowsActors whether requests come with actors: only then production asks for the secret
 *   that tells the gateway's from others
 * @throws SettingsError naming every wrong setting.
 */
export function readSettings(
  environment: Record<string, string | undefined>,
  { knowsActors = true } = {},
): Settings {
  const present = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  );
  // Parsed once: making a program of the schema first, as zod does, would take longer.
  const parsed = settingsSchema.safeParse(present, { jitless: true });
  const faults = [
    ...(parsed.error?.issues ?? []).map((issue) => `${issue.path.join('.')} ${issue.message}`),
    ...jointFaults(present, knowsActors),
  ];
  if (parsed.success && faults.length === 0) return parsed.data;
  throw new SettingsError(`wrong settings: ${faults.join('; ')}`);
}

/** Rules over several settings, on the text itself: they are named even where others do not parse. */
function jointFaults(
  present: Readonly<Record<string, string | undefined>>,
  knowsActors: boolean,
): string[] {
  const faults: string[] = [];
  if (/^https?:/.test(present.REDIS_URL ?? '') && present.REDIS_TOKEN === undefined) {
    faults.push('REDIS_TOKEN is required beside an https:// REDIS_URL (Upstash REST)');
  }
  if (present.S3_ENDPOINT !== undefined) {
    for (const name of ['S3_ACCESS_KEY', 'S3_SECRET_KEY']) {
      if (present[name] === undefined) faults.push(`${name} is required with S3_ENDPOINT`);
    }
  }
  if (present.AUTH_MODE === 'jwt') {
    for (const name of ['JWT_JWKS_URL', 'JWT_ISSUER', 'JWT_AUDIENCE']) {
      if (present[name] === undefined) faults.push(`${name} is required with AUTH_MODE=jwt`);
    }
  }
  if (present.ENVIRONMENT === 'production') {
    if (present.ENABLE_RBAC === 'false' || present.ENABLE_RBAC === '0') {
      faults.push('ENABLE_RBAC false is refused with ENVIRONMENT=production');
    }
    const needsSecret = knowsActors && present.AUTH_MODE !== 'jwt';
    if (needsSecret && present.GATEWAY_SHARED_SECRET === undefined) {
      faults.push('GATEWAY_SHARED_SECRET is required in gateway mode with ENVIRONMENT=production');
    }
    // Whoever answers in the issuer's place could sign for anybody.
    if (/^http:/i.test(present.JWT_JWKS_URL ?? '')) {
      faults.push('JWT_JWKS_URL must start with https:// with ENVIRONMENT=production');
    }
  }
  return faults;
}

/** The URL in a required setting, or a SettingsError that says which one is missing and its form. */
export function requireSetting<K extends keyof Settings>(
  settings: Settings,
  name: K,
  example: string,
): NonNullable<Settings[K]> {
  const value = settings[name];
  if (value === undefined || value === null) {
    throw new SettingsError(`wrong settings: ${name} is required, for example ${example}`);
  }
  return value;
}

/**
 * For a process that must not be a Knative Service. `func deploy` makes one of everything that has
 * a func.yaml, and prints what a container that does not start says last.
 *
 * @param name as `npm run deploy` knows it
 * @throws SettingsError in the container of a Knative Service, with how to deploy it instead.
 */
export function refuseKnativeService(
  { K_SERVICE }: Pick<Settings, 'K_SERVICE'>,
  name: string,
  reason: string,
): void {
  if (K_SERVICE === undefined) return;
  throw new SettingsError(
    `must not run as the Knative Service ${K_SERVICE}: ${reason}; remove that Service and use npm run deploy -- ${name}`,
  );
}

/** The names of the stream's partitions: the stream itself, or `name-0 … name-(N-1)`. */
export function streamPartitions(
  settings: Pick<Settings, 'RABBITMQ_STREAM' | 'RABBITMQ_STREAM_PARTITIONS'>,
): string[] {
  const { RABBITMQ_STREAM: name, RABBITMQ_STREAM_PARTITIONS: count } = settings;
  return count === 1 ? [name] : Array.from({ length: count }, (_, index) => `${name}-${index}`);
}
