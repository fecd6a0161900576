import type { Settings } from '../platform/env.ts';
import { bucketEnds, localMonth } from '../queries/time-window.ts';
import { withinWindow } from '../queries/window-sql.ts';
import { columnReader, csvLine, type ExportFormat, type ExportScope, textCell } from './format.ts';

/**
 * FinOps FOCUS 1.2 (https://focus.finops.org/focus-specification/v1-2/), its Cost and Usage rows:
 * the 21 mandatory columns, and of the others those that have something to say here. Unit prices
 * are left out: they must come from a published price list, which events do not carry.
 */
const columns = [
  'BilledCost',
  'BillingAccountId',
  'BillingAccountName',
  'BillingCurrency',
  'BillingPeriodEnd',
  'BillingPeriodStart',
  'ChargeCategory',
  'ChargeClass',
  'ChargeDescription',
  'ChargeFrequency',
  'ChargePeriodEnd',
  'ChargePeriodStart',
  'ConsumedQuantity',
  'ConsumedUnit',
  'ContractedCost',
  'EffectiveCost',
  'InvoiceId',
  'InvoiceIssuerName',
  'ListCost',
  'PricingCategory',
  'PricingQuantity',
  'PricingUnit',
  'ProviderName',
  'PublisherName',
  'ResourceId',
  'ResourceName',
  'ResourceType',
  'ServiceCategory',
  'ServiceName',
  'ServiceSubcategory',
  'SkuId',
  'SkuMeter',
  'SubAccountId',
  'SubAccountName',
  // Tokens of requests that are charged as a whole.
  'x_InputTokens',
  'x_OutputTokens',
] as const;
type Column = (typeof columns)[number];

export type FocusSettings = Pick<
  Settings,
  'BILLING_CURRENCY' | 'FOCUS_PROVIDER_NAME' | 'SERVICE_NAME'
>;

/** What the statement returns, in this order. */
const read = columnReader([
  'bucket',
  'orgId',
  'orgName',
  'modelId',
  'modelName',
  'clientId',
  'invocations',
  'errors',
  'inputTokens',
  'outputTokens',
  'costCents',
  'splitInputTokens',
  'splitOutputTokens',
  'splitInputCost',
  'splitOutputCost',
  'requests',
  'requestInputTokens',
  'requestOutputTokens',
  'requestCost',
  'otherCost',
  'splitInputMillions',
  'splitOutputMillions',
]);
type Sums = ReturnType<typeof read>;

const isSplit = 'input_cost_cents is not null and output_cost_cents is not null';
const inCurrency = (cents: string) => `trim_scale(coalesce(${cents}, 0) * 0.01)`;
const inMillions = (tokens: string) => `trim_scale(coalesce(${tokens}, 0) * 0.000001)`;

/**
 * Cost by charge period, org (billing account), model (resource) and client (sub account). Events
 * that carry the costs of their input and output give a row for each kind of token; what their cost
 * holds beyond the two is an adjustment, since nothing was measured for it. All others give one row
 * charged by request. So BilledCost adds up to the usage API's cost in every case.
 *
 * Read from raw events: the rollups do not keep the two costs apart.
 */
export function focusFormat({ request, plan }: ExportScope, settings: FocusSettings): ExportFormat {
  const periods = chargePeriods(plan);
  const provider = textCell(settings.FOCUS_PROVIDER_NAME ?? settings.SERVICE_NAME);
  return {
    columns,
    statement: (values) => {
      const starts = values.bind(
        plan.bucketStarts.map((ms) => new Date(ms)),
        'timestamptz[]',
      );
      return `
        with split as (
          select *, ${isSplit} as is_split
          from analytics.usage_events e
          where ${withinWindow(request, plan.window, values)}
        ), sums as (
          select width_bucket(occurred_at, ${starts}) as bucket, org_id, model_id, client_id,
                 count(*) as invocations,
                 count(*) filter (where status <> 'success') as errors,
                 sum(input_tokens) as input, sum(output_tokens) as output,
                 sum(cost_estimate_cents) as cost,
                 sum(input_tokens) filter (where is_split) as split_input,
                 sum(output_tokens) filter (where is_split) as split_output,
                 sum(input_cost_cents) filter (where is_split) as split_input_cost,
                 sum(output_cost_cents) filter (where is_split) as split_output_cost,
                 sum(cost_estimate_cents) filter (where is_split) as split_cost,
                 count(*) filter (where not is_split) as requests,
                 sum(input_tokens) filter (where not is_split) as request_input,
                 sum(output_tokens) filter (where not is_split) as request_output,
                 sum(cost_estimate_cents) filter (where not is_split) as request_cost
          from split
          group by 1, 2, 3, 4
        )
        select bucket, org_id, orgs.name, model_id, models.name, client_id,
               invocations, errors, input, output, trim_scale(cost),
               coalesce(split_input, 0), coalesce(split_output, 0),
               ${inCurrency('split_input_cost')}, ${inCurrency('split_output_cost')},
               requests, coalesce(request_input, 0), coalesce(request_output, 0),
               ${inCurrency('request_cost')},
               ${inCurrency('(split_cost - split_input_cost - split_output_cost)')},
               ${inMillions('split_input')}, ${inMillions('split_output')}
        from sums
        left join analytics.orgs using (org_id)
        left join analytics.models using (model_id)
        order by bucket, org_id, model_id, client_id`;
    },
    toLines: (row, totals) => {
      const sums = read(row);
      totals.add(
        sums('invocations'),
        sums('errors'),
        sums('inputTokens'),
        sums('outputTokens'),
        sums('costCents'),
      );
      const model = sums('modelName') || sums('modelId');
      const shared: Partial<Record<Column, string>> = {
        BillingAccountId: sums('orgId'),
        // Names are supported, so that it must not be null.
        BillingAccountName: textCell(sums('orgName') || sums('orgId')),
        BillingCurrency: settings.BILLING_CURRENCY,
        ...periods[Number(sums('bucket')) - 1],
        ChargeFrequency: 'Usage-Based',
        InvoiceIssuerName: provider,
        ProviderName: provider,
        PublisherName: provider,
        ResourceId: sums('modelId'),
        ResourceName: textCell(sums('modelName')),
        ResourceType: 'Model',
        ServiceCategory: 'AI and Machine Learning',
        ServiceName: 'AI Inference',
        ServiceSubcategory: 'Generative AI',
        SubAccountId: textCell(sums('clientId')),
        SubAccountName: textCell(sums('clientId')),
      };
      return chargesOf(sums, model).map((charge) => {
        const cells = { ...shared, ...charge };
        return csvLine(columns.map((column) => cells[column] ?? ''));
      });
    },
  };
}

type Cells = Partial<Record<Column, string>>;

/** The rows that a group of events is charged by, without what all of them share. */
function chargesOf(sums: Sums, model: string): Cells[] {
  const charges: Cells[] = [];
  const modelId = sums('modelId');
  if (sums('splitInputTokens') !== '0' || sums('splitInputCost') !== '0') {
    charges.push({
      ...costs(sums('splitInputCost')),
      ...tokens(sums('splitInputTokens'), sums('splitInputMillions')),
      ChargeDescription: textCell(`Input tokens, ${model}`),
      SkuId: `${modelId}-input`,
      SkuMeter: 'Input Tokens',
    });
  }
  if (sums('splitOutputTokens') !== '0' || sums('splitOutputCost') !== '0') {
    charges.push({
      ...costs(sums('splitOutputCost')),
      ...tokens(sums('splitOutputTokens'), sums('splitOutputMillions')),
      ChargeDescription: textCell(`Output tokens, ${model}`),
      SkuId: `${modelId}-output`,
      SkuMeter: 'Output Tokens',
    });
  }
  if (sums('requests') !== '0') {
    charges.push({
      ...costs(sums('requestCost')),
      ...usage(sums('requests'), 'Requests', sums('requests'), 'Requests'),
      ChargeDescription: textCell(`Requests, ${model}`),
      SkuId: `${modelId}-request`,
      SkuMeter: 'Requests',
      x_InputTokens: sums('requestInputTokens'),
      x_OutputTokens: sums('requestOutputTokens'),
    });
  }
  if (sums('otherCost') !== '0') {
    charges.push({
      ...costs(sums('otherCost')),
      ChargeCategory: 'Adjustment',
      ChargeDescription: textCell(`Cost beyond input and output tokens, ${model}`),
    });
  }
  return charges;
}

/** There are no discounts, so one amount is all four. */
function costs(amount: string): Cells {
  return { BilledCost: amount, ContractedCost: amount, EffectiveCost: amount, ListCost: amount };
}

function tokens(count: string, millions: string): Cells {
  return usage(count, 'Tokens', millions, '1000000 Tokens');
}

function usage(consumed: string, unit: string, priced: string, pricingUnit: string): Cells {
  return {
    ChargeCategory: 'Usage',
    ConsumedQuantity: consumed,
    ConsumedUnit: unit,
    PricingCategory: 'Standard',
    PricingQuantity: priced,
    PricingUnit: pricingUnit,
  };
}

/**
 * The part of each bucket that lies in the window, and the month of the job's zone that it is
 * billed in, as UTC instants.
 */
function chargePeriods(plan: ExportScope['plan']): Cells[] {
  const { window, bucketStarts } = plan;
  const ends = bucketEnds(plan);
  return bucketStarts.map((bucketStart, index) => {
    const month = localMonth(bucketStart, window.timeZone);
    return {
      BillingPeriodStart: utc(month.startMs),
      BillingPeriodEnd: utc(month.endMs),
      ChargePeriodStart: utc(Math.max(bucketStart, window.startMs)),
      ChargePeriodEnd: utc(Math.min(ends[index] ?? window.endMs, window.endMs)),
    };
  });
}

function utc(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}
