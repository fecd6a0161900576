/** The variables by which the service finds each of its four servers. */
export interface ServiceEnv {
  DATABASE_URL: string;
  RABBITMQ_URL: string;
  REDIS_URL: string;
  S3_ENDPOINT: string;
  S3_ACCESS_KEY: string;
  S3_SECRET_KEY: string;
  S3_BUCKET: string;
  S3_REGION: string;
}

const VARIABLES = {
  postgres: ['DATABASE_URL'],
  rabbitmq: ['RABBITMQ_URL'],
  redis: ['REDIS_URL'],
  s3: ['S3_ENDPOINT', 'S3_ACCESS_KEY', 'S3_SECRET_KEY', 'S3_BUCKET', 'S3_REGION'],
} as const satisfies Record<string, readonly (keyof ServiceEnv)[]>;

export type ServiceName = keyof typeof VARIABLES;

/** The part of the environment that the named services give. */
export type EnvOf<Name extends ServiceName> = Pick<ServiceEnv, (typeof VARIABLES)[Name][number]>;

export const SERVICE_NAMES = Object.keys(VARIABLES) as ServiceName[];

export const S3_DEFAULTS = { S3_BUCKET: 'analytics-exports', S3_REGION: 'us-east-1' } as const;

/** What the caller's environment says about a service; undefined when it names no server. */
export function givenEnv(
  name: ServiceName,
  env: NodeJS.ProcessEnv,
): Partial<ServiceEnv> | undefined {
  const [main, ...rest] = VARIABLES[name];
  const address = env[main];
  if (address === undefined || address === '') return undefined;
  const found: Partial<ServiceEnv> = { [main]: address };
  for (const variable of rest) {
    const value = env[variable] || { ...S3_DEFAULTS }[variable as keyof typeof S3_DEFAULTS];
    if (value === undefined) throw new Error(`${main} is set, so ${variable} must be too`);
    found[variable] = value;
  }
  return found;
}
