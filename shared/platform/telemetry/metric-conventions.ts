import type { Attributes } from '@opentelemetry/api';

/** How a metric is told by OTLP: other words for what Prometheus is told. */
export interface MetricConvention {
  name: string;
  unit: string;
  attributes(labels: Readonly<Record<string, string | number>>): Attributes;
}

/**
 * OpenTelemetry's own name where it has one, so that dashboards made for it find their numbers:
 * https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
 * Of all others the name and the labels stay, and the unit is what the name ends with.
 */
export function conventionOf(name: string): MetricConvention {
  if (name === 'http_request_duration_seconds') return serverDuration;
  return { name, unit: unitOf(name), attributes: textsOf };
}

const serverDuration: MetricConvention = {
  name: 'http.server.request.duration',
  unit: 's',
  attributes: ({ method = '', route = '', status = '' }) => ({
    'http.request.method': method === 'other' ? '_OTHER' : String(method),
    // In front of every function is a gateway, which has the certificate.
    'url.scheme': 'http',
    'http.response.status_code': Number(status),
    // Only middleware matched: there is no route.
    ...(String(route).endsWith('*') ? {} : { 'http.route': String(route) }),
    ...(Number(status) >= 500 ? { 'error.type': String(status) } : {}),
  }),
};

function unitOf(name: string): string {
  if (/_seconds(_total)?$/.test(name)) return 's';
  if (/_bytes(_total)?$/.test(name)) return 'By';
  return /_ms(_max)?$/.test(name) ? 'ms' : '';
}

function textsOf(labels: Readonly<Record<string, string | number>>): Attributes {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, String(value)]));
}
