import { Counter, Gauge, Histogram, Registry, Summary } from 'prom-client';
import { expect, test } from 'vitest';
import { registryProducer } from './registry-producer.ts';

async function collected(registry: Registry) {
  const { resourceMetrics } = await registryProducer(registry).collect();
  return resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics);
}

test('counters are sums that never fall, gauges are gauges, labels are texts', async () => {
  const registry = new Registry();
  const registers = [registry];
  const counter = new Counter({
    name: 'asked_total',
    help: 'Asked',
    labelNames: ['to'],
    registers,
  });
  counter.inc({ to: 'a' }, 2);
  counter.inc({ to: 5 });
  new Gauge({ name: 'depth', help: 'Depth', registers }).set(-1.5);
  expect(await collected(registry)).toMatchObject([
    {
      descriptor: { name: 'asked_total', description: 'Asked', unit: '' },
      isMonotonic: true,
      dataPoints: [
        { attributes: { to: 'a' }, value: 2 },
        { attributes: { to: '5' }, value: 1 },
      ],
    },
    { descriptor: { name: 'depth' }, dataPoints: [{ attributes: {}, value: -1.5 }] },
  ]);
});

test('a histogram counts what lies between two bounds, each set of labels for itself', async () => {
  const registry = new Registry();
  const histogram = new Histogram({
    name: 'took_seconds',
    help: 'Took',
    labelNames: ['route'],
    buckets: [0.1, 1, 10],
    registers: [registry],
  });
  for (const seconds of [0.1, 0.5, 0.5, 2, 20, 30]) histogram.observe({ route: '/a' }, seconds);
  histogram.observe({ route: '/b' }, 5);
  const boundaries = [0.1, 1, 10];
  const [metric] = await collected(registry);
  expect(metric?.dataPoints).toMatchObject([
    {
      attributes: { route: '/a' },
      value: { buckets: { boundaries, counts: [1, 2, 1, 2] }, sum: 53.1, count: 6 },
    },
    {
      attributes: { route: '/b' },
      value: { buckets: { boundaries, counts: [0, 0, 1, 0] }, sum: 5, count: 1 },
    },
  ]);
});

test('all points begin with the producer and end with their collection', async () => {
  const registry = new Registry();
  new Counter({ name: 'one_total', help: 'One', registers: [registry] }).inc();
  const producer = registryProducer(registry);
  const spans = [];
  for (let collection = 0; collection < 2; collection += 1) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { resourceMetrics } = await producer.collect();
    spans.push(resourceMetrics.scopeMetrics[0]?.metrics[0]?.dataPoints[0]);
  }
  const [first, second] = spans;
  expect(first?.startTime).toEqual(second?.startTime);
  const ms = ([seconds, nanos] = [0, 0]) => seconds * 1_000 + nanos / 1e6;
  expect(ms(first?.startTime)).toBeLessThan(ms(first?.endTime));
  expect(ms(first?.endTime)).toBeLessThan(ms(second?.endTime));
});

test('what is no number, has no values or is a summary is left out', async () => {
  const registry = new Registry();
  const registers = [registry];
  new Gauge({ name: 'not_yet', help: 'Nothing measured', registers }).set(Number.NaN);
  new Histogram({ name: 'never', help: 'Never', labelNames: ['a'], registers });
  new Summary({ name: 'summed_up', help: 'Summary', registers }).observe(1);
  expect(await collected(registry)).toEqual([]);
});

test('requests and units are told by the names of OpenTelemetry', async () => {
  const registry = new Registry();
  const registers = [registry];
  const duration = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from request to response',
    labelNames: ['method', 'route', 'status'],
    buckets: [1],
    registers,
  });
  duration.observe({ method: 'GET', route: '/a/:id', status: '200' }, 0.5);
  duration.observe({ method: 'other', route: '/*', status: '503' }, 2);
  new Gauge({ name: 'memory_bytes', help: 'Memory', registers }).set(1);
  const [requests, memory] = await collected(registry);
  expect(requests).toMatchObject({
    descriptor: { name: 'http.server.request.duration', unit: 's' },
    dataPoints: [
      {
        attributes: {
          'http.request.method': 'GET',
          'http.route': '/a/:id',
          'http.response.status_code': 200,
          'url.scheme': 'http',
        },
        value: { count: 1, sum: 0.5 },
      },
      { attributes: { 'http.request.method': '_OTHER', 'error.type': '503' } },
    ],
  });
  expect(requests?.dataPoints[1]?.attributes).not.toHaveProperty('http.route');
  expect(memory).toMatchObject({ descriptor: { name: 'memory_bytes', unit: 'By' } });
});
