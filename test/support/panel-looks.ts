import {
  BigValueColorMode,
  BigValueGraphMode,
  BigValueJustifyMode,
  BigValueTextMode,
  GraphDrawStyle,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  PercentChangeColorMode,
  SortOrder,
  StackingMode,
  TableCellHeight,
  TooltipDisplayMode,
  VisibilityMode,
  VizOrientation,
} from '@grafana/schema';
import * as z from 'zod';

/**
 * What each kind of panel may say of its look: the fields that we mean, with the values that
 * Grafana publishes for them. `custom` is that of the panel's field configuration.
 */

const share = z.number().min(0).max(100);

export const timeSeriesLook = {
  custom: z.strictObject({
    drawStyle: z.enum(GraphDrawStyle),
    lineWidth: z.int().min(0).max(10),
    fillOpacity: share,
    showPoints: z.enum(VisibilityMode),
    spanNulls: z.boolean(),
    stacking: z.strictObject({ mode: z.enum(StackingMode), group: z.string() }),
    thresholdsStyle: z.strictObject({ mode: z.enum(GraphThresholdsStyleMode) }),
  }),
  options: z.strictObject({
    legend: z.strictObject({
      displayMode: z.enum(LegendDisplayMode),
      placement: z.enum(['bottom', 'right']),
      showLegend: z.boolean(),
      calcs: z.array(z.string()),
    }),
    tooltip: z.strictObject({ mode: z.enum(TooltipDisplayMode), sort: z.enum(SortOrder) }),
  }),
};

export const statLook = {
  custom: z.strictObject({}),
  options: z.strictObject({
    reduceOptions: z.strictObject({
      calcs: z.tuple([z.literal('lastNotNull')]),
      fields: z.string(),
      values: z.boolean(),
    }),
    colorMode: z.enum(BigValueColorMode),
    graphMode: z.enum(BigValueGraphMode),
    justifyMode: z.enum(BigValueJustifyMode),
    orientation: z.enum(VizOrientation),
    textMode: z.enum(BigValueTextMode),
    wideLayout: z.boolean(),
    showPercentChange: z.boolean(),
    percentChangeColorMode: z.enum(PercentChangeColorMode),
  }),
};

export const tableLook = {
  custom: z.strictObject({}),
  options: z.strictObject({
    frameIndex: z.literal(0),
    showHeader: z.boolean(),
    cellHeight: z.enum(TableCellHeight),
    sortBy: z.array(z.strictObject({ displayName: z.string().min(1), desc: z.boolean() })),
  }),
};
