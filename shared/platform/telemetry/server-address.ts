import type { Attributes } from '@opentelemetry/api';

const defaultPorts: Readonly<Record<string, number>> = {
  'http:': 80,
  'https:': 443,
  'postgres:': 5432,
  'postgresql:': 5432,
  'redis:': 6379,
  'rediss:': 6379,
};

/** Which server a URL is about, by OpenTelemetry's names; nothing else of the URL. */
export function serverAddress(url: string): Attributes {
  if (!URL.canParse(url)) return {};
  const { hostname, port, protocol } = new URL(url);
  const number = port === '' ? defaultPorts[protocol] : Number(port);
  return {
    'server.address': hostname,
    ...(number === undefined ? {} : { 'server.port': number }),
  };
}
