import { type HrTime, ValueType } from '@opentelemetry/api';
import { millisToHrTime } from '@opentelemetry/core';
import { emptyResource } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  type DataPoint,
  DataPointType,
  type Histogram,
  type MetricData,
  type MetricProducer,
} from '@opentelemetry/sdk-metrics';
import type { Registry } from 'prom-client';
import * as z from 'zod';
import { schemaUrl } from './conventions.ts';
import { conventionOf, type MetricConvention } from './metric-conventions.ts';

/** What prom-client really gives: its own types know neither the names of types nor metricName. */
const valueForm = z.object({
  metricName: z.string().optional(),
  labels: z.record(z.string(), z.union([z.string(), z.number()])),
  // Of nothing yet measured it is not a number.
  value: z.custom<number>((value) => typeof value === 'number'),
});
const metricsForm = z.array(
  z.object({ name: z.string(), help: z.string(), type: z.string(), values: z.array(valueForm) }),
);
type Metric = z.output<typeof metricsForm>[number];
type Value = z.output<typeof valueForm>;

interface Period {
  startTime: HrTime;
  endTime: HrTime;
}

/**
 * A prom-client registry as a source of OpenTelemetry's data points, under the same names and
 * labels but where OpenTelemetry has its own, read again for each export. All of them are cumulative, since the producer was made.
 */
export function registryProducer(registry: Registry): MetricProducer {
  const startTime = millisToHrTime(Date.now());
  return {
    collect: async () => {
      const kept = metricsForm.parse(await registry.getMetricsAsJSON());
      const period = { startTime, endTime: millisToHrTime(Date.now()) };
      const metrics = kept
        .flatMap((metric) => toMetricData(metric, period))
        .filter(({ dataPoints }) => dataPoints.length > 0);
      const scopeMetrics = [{ scope: { name: 'prom-client', schemaUrl }, metrics }];
      // The reader puts the SDK's own resource in place of this one.
      return { resourceMetrics: { resource: emptyResource(), scopeMetrics }, errors: [] };
    },
  };
}

/** None of a summary: we keep none, and OpenTelemetry has them only for reading old data. */
function toMetricData({ name, help, type, values }: Metric, period: Period): MetricData[] {
  const convention = conventionOf(name);
  const { unit, attributes } = convention;
  const common = {
    descriptor: { name: convention.name, description: help, unit, valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  switch (type) {
    case 'counter': {
      const dataPoints = numberPoints(values, period, attributes);
      return [{ ...common, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }];
    }
    case 'gauge': {
      const dataPoints = numberPoints(values, period, attributes);
      return [{ ...common, dataPointType: DataPointType.GAUGE, dataPoints }];
    }
    case 'histogram': {
      const dataPoints = histogramPoints(name, values, period, attributes);
      return [{ ...common, dataPointType: DataPointType.HISTOGRAM, dataPoints }];
    }
    default:
      return [];
  }
}

type AttributesOf = MetricConvention['attributes'];

function numberPoints(
  values: readonly Value[],
  period: Period,
  attributesOf: AttributesOf,
): DataPoint<number>[] {
  return values
    .filter(({ value }) => Number.isFinite(value))
    .map(({ labels, value }) => ({ ...period, attributes: attributesOf(labels), value }));
}

/** Prometheus counts what is at most each bound, OpenTelemetry what lies between two of them. */
function histogramPoints(
  name: string,
  values: readonly Value[],
  period: Period,
  attributesOf: AttributesOf,
): DataPoint<Histogram>[] {
  const points = new Map<string, DataPoint<Histogram>>();
  for (const { metricName, labels, value } of values) {
    const { le, ...own } = labels;
    const key = JSON.stringify(own);
    const point = points.get(key) ?? {
      ...period,
      attributes: attributesOf(own),
      value: emptyHistogram(),
    };
    points.set(key, point);
    const { buckets } = point.value;
    if (metricName === `${name}_sum`) point.value.sum = value;
    else if (metricName === `${name}_count`) point.value.count = value;
    else {
      const below = buckets.counts.reduce((sum, count) => sum + count, 0);
      buckets.counts.push(value - below);
      if (le !== '+Inf') buckets.boundaries.push(Number(le));
    }
  }
  return [...points.values()];
}

function emptyHistogram(): Histogram {
  return { buckets: { boundaries: [], counts: [] }, sum: 0, count: 0 };
}
