import { createServer, type IncomingHttpHeaders } from 'node:http';
import * as z from 'zod';
import { until } from './until.ts';

const value = z.record(z.string(), z.unknown());
const keyValues = z.array(z.object({ key: z.string(), value })).default([]);
const spanForm = z.object({
  traceId: z.string().regex(/^[0-9a-f]{32}$/),
  spanId: z.string().regex(/^[0-9a-f]{16}$/),
  parentSpanId: z.string().optional(),
  name: z.string(),
  kind: z.number(),
  startTimeUnixNano: z.string(),
  endTimeUnixNano: z.string(),
  attributes: keyValues,
  links: z.array(z.object({ traceId: z.string(), spanId: z.string() })).default([]),
  status: z.object({ code: z.number().optional(), message: z.string().optional() }).default({}),
});
const spansForm = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: keyValues }),
      schemaUrl: z.string().optional(),
      scopeSpans: z.array(z.object({ schemaUrl: z.string().optional(), spans: z.array(spanForm) })),
    }),
  ),
});

const pointForm = z.object({
  attributes: keyValues,
  startTimeUnixNano: z.string(),
  timeUnixNano: z.string(),
  asDouble: z.number().optional(),
  count: z.number().optional(),
  sum: z.number().optional(),
  explicitBounds: z.array(z.number()).optional(),
  bucketCounts: z.array(z.number()).optional(),
});
const pointsForm = z.object({ dataPoints: z.array(pointForm) }).optional();
const metricForm = z.object({
  name: z.string(),
  unit: z.string().default(''),
  sum: pointsForm,
  gauge: pointsForm,
  histogram: pointsForm,
});
const metricsForm = z.object({
  resourceMetrics: z.array(
    z.object({
      resource: z.object({ attributes: keyValues }),
      scopeMetrics: z.array(z.object({ metrics: z.array(metricForm) })),
    }),
  ),
});

/** A span as OTLP/JSON carries it, its attributes as a record. */
export interface ReceivedSpan extends Omit<z.output<typeof spanForm>, 'attributes'> {
  attributes: Record<string, unknown>;
  resource: Record<string, unknown>;
  schemaUrls: { resource: string | undefined; scope: string | undefined };
}

/** A data point as OTLP/JSON carries it, its attributes as a record. */
export interface ReceivedPoint extends Omit<z.output<typeof pointForm>, 'attributes'> {
  metric: string;
  unit: string;
  kind: 'sum' | 'gauge' | 'histogram';
  attributes: Record<string, unknown>;
  resource: Record<string, unknown>;
}

export interface OtlpReceiver {
  url: string;
  readonly spans: readonly ReceivedSpan[];
  readonly points: readonly ReceivedPoint[];
  /** What requests came, whatever was in them. */
  readonly requests: readonly ReceivedRequest[];
  /** Waits for a span that fits. */
  span(what: string, fits: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan>;
  stop(): Promise<void>;
}

export interface ReceivedRequest {
  path: string;
  headers: IncomingHttpHeaders;
  bytes: number;
}

/** What OTLP over HTTP is sent to; reads JSON, and only counts protobuf. */
export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const points: ReceivedPoint[] = [];
  const requests: ReceivedRequest[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const contentType = request.headers['content-type'] ?? '';
    const { url: path = '', headers } = request;
    requests.push({ path, headers, bytes: body.length });
    if (contentType === 'application/json') {
      const content: unknown = JSON.parse(body.toString('utf8'));
      if (path === '/v1/traces') spans.push(...spansIn(content));
      if (path === '/v1/metrics') points.push(...pointsIn(content));
    }
    response
      .writeHead(200, { 'Content-Type': contentType })
      .end(contentType.endsWith('json') ? '{}' : '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    spans,
    points,
    requests,
    span: (what, fits) => until(`a span: ${what}`, async () => spans.find(fits)),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function spansIn(body: unknown): ReceivedSpan[] {
  return spansForm.parse(body).resourceSpans.flatMap(({ resource, schemaUrl, scopeSpans }) =>
    scopeSpans.flatMap((scope) =>
      scope.spans.map((span) => ({
        ...span,
        attributes: recordOf(span.attributes),
        resource: recordOf(resource.attributes),
        schemaUrls: { resource: schemaUrl, scope: scope.schemaUrl },
      })),
    ),
  );
}

function pointsIn(body: unknown): ReceivedPoint[] {
  return metricsForm.parse(body).resourceMetrics.flatMap(({ resource, scopeMetrics }) =>
    scopeMetrics
      .flatMap(({ metrics }) => metrics)
      .flatMap((metric) =>
        (['sum', 'gauge', 'histogram'] as const).flatMap((kind) =>
          (metric[kind]?.dataPoints ?? []).map((point) => ({
            ...point,
            metric: metric.name,
            unit: metric.unit,
            kind,
            attributes: recordOf(point.attributes),
            resource: recordOf(resource.attributes),
          })),
        ),
      ),
  );
}

/** `{intValue: 5}` → 5 */
function recordOf(attributes: z.output<typeof keyValues>): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value: given }) => [key, Object.values(given)[0]]),
  );
}
