// The kinds of panel, each a function of what differs: title, queries, unit, place. Whatever all have in common stands here once.
import type * as cog from "@grafana/grafana-foundation-sdk/cog";
import * as barchart from "@grafana/grafana-foundation-sdk/barchart";
import * as bargauge from "@grafana/grafana-foundation-sdk/bargauge";
import * as common from "@grafana/grafana-foundation-sdk/common";
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import * as gauge from "@grafana/grafana-foundation-sdk/gauge";
import * as piechart from "@grafana/grafana-foundation-sdk/piechart";
import * as prometheus from "@grafana/grafana-foundation-sdk/prometheus";
import * as stat from "@grafana/grafana-foundation-sdk/stat";
import * as statetimeline from "@grafana/grafana-foundation-sdk/statetimeline";
import * as table from "@grafana/grafana-foundation-sdk/table";
import * as text from "@grafana/grafana-foundation-sdk/text";
import * as timeseries from "@grafana/grafana-foundation-sdk/timeseries";
import { byName } from "./colours.ts";
import * as units from "./units.ts";
import { source } from "./variables.ts";

export interface Query {
  expr: string;
  /** The legend: text with {{label}}. */
  legend?: string;
  refId?: string;
}

type Override = { matcher: dashboard.MatcherConfig; properties: dashboard.DynamicConfigValue[] };
type Threshold = { value: number | null; color: string };
type Builder = timeseries.PanelBuilder | stat.PanelBuilder | bargauge.PanelBuilder | gauge.PanelBuilder | table.PanelBuilder | piechart.PanelBuilder | barchart.PanelBuilder | statetimeline.PanelBuilder;

/** What every panel with data says. */
export interface Spec {
  title: string;
  /** What is shown, and where it comes from. */
  description: string;
  unit: string;
  /** Set where the unit is none of energy, mass, money or ratio. */
  plain?: true;
  queries: Query[];
  /** Width and height on Grafana's grid of 24 columns. */
  w: number;
  h: number;
  /** What stands there when there is no data; declares that there may be none. */
  empty?: string;
  decimals?: number;
  min?: number;
  max?: number;
  color?: string;
  colours?: Record<string, string>;
  thresholds?: Threshold[];
  overrides?: Override[];
  mappings?: dashboard.ValueMapping[];
  transformations?: dashboard.DataTransformerConfig[];
  links?: Link[];
  /** The begin of the panel's own range, such as now/d for today, up to now; and by how much both are moved back. */
  timeFrom?: string;
  timeShift?: string;
  /** The most steps of a range query, where each costs much: one for each pixel otherwise. */
  points?: number;
  /** The least step of a range query. */
  interval?: string;
}

export interface Link {
  title: string;
  url: string;
}

/** A panel, and how much room it takes. */
export interface Placed {
  builder: cog.Builder<dashboard.Panel>;
  w: number;
  h: number;
  plain?: true;
}

const target = (how: "range" | "instant" | "table") => (query: Query, index: number) => {
  const built = new prometheus.DataqueryBuilder()
    .datasource(source)
    .expr(query.expr)
    .legendFormat(query.legend ?? "__auto")
    .editorMode(prometheus.QueryEditorMode.Code)
    .refId(query.refId ?? "ABCDEFGHIJKLMNOP"[index]);
  if (how === "range") return built.range();
  return built.instant().format(how === "table" ? prometheus.PromQueryFormat.Table : prometheus.PromQueryFormat.TimeSeries);
};

function dress<B extends Builder>(builder: B, spec: Spec, how: "range" | "instant" | "table"): Placed {
  builder.title(spec.title).description(spec.description).datasource(source).unit(spec.unit);
  builder.targets(spec.queries.map(target(how)));
  if (spec.empty !== undefined) builder.noValue(spec.empty);
  if (spec.decimals !== undefined) builder.decimals(spec.decimals);
  if (spec.min !== undefined) builder.min(spec.min);
  if (spec.max !== undefined) builder.max(spec.max);
  if (spec.mappings !== undefined) builder.mappings(spec.mappings);
  const steps: Threshold[] = spec.thresholds ?? [{ value: null, color: spec.color ?? "text" }];
  builder.thresholds(new dashboard.ThresholdsConfigBuilder().mode(dashboard.ThresholdsMode.Absolute).steps(steps));
  const color = new dashboard.FieldColorBuilder();
  if (spec.color !== undefined) builder.colorScheme(color.mode(dashboard.FieldColorModeId.Fixed).fixedColor(spec.color));
  else if (spec.thresholds !== undefined) builder.colorScheme(color.mode(dashboard.FieldColorModeId.Thresholds));
  else builder.colorScheme(color.mode(dashboard.FieldColorModeId.PaletteClassic));
  builder.overrides([...byName(spec.colours ?? {}), ...(spec.overrides ?? [])]);
  if (spec.transformations !== undefined) builder.transformations(spec.transformations);
  if (spec.links !== undefined) builder.dataLinks(spec.links.map(({ title, url }) => new dashboard.DashboardLinkBuilder(title).url(url)));
  if (spec.timeFrom !== undefined) builder.timeFrom(spec.timeFrom).hideTimeOverride(true);
  if (spec.timeShift !== undefined) builder.timeShift(spec.timeShift);
  if (spec.points !== undefined) builder.maxDataPoints(spec.points);
  if (spec.interval !== undefined) builder.interval(spec.interval);
  return { builder, w: spec.w, h: spec.h, plain: spec.plain };
}

/** Figures of one size, whatever their panel leaves room for: so that rows of them are calm. */
const sized = (spec: Spec) => new common.VizTextDisplayOptionsBuilder().valueSize(spec.h > 4 ? 44 : spec.h > 3 ? 32 : 24);
const last = (calc = "lastNotNull") => new common.ReduceDataOptionsBuilder().calcs([calc]).values(false);
const legend = (calcs: string[], mode = common.LegendDisplayMode.List, placement = common.LegendPlacement.Bottom) =>
  new common.VizLegendOptionsBuilder().displayMode(mode).placement(placement).showLegend(true).calcs(calcs);

/** Lines over time; `stack` stacks them as areas, `bars` as bars. */
export function series(spec: Spec & { stack?: true; bars?: true; table?: true }): Placed {
  const builder = new timeseries.PanelBuilder()
    .lineWidth(spec.stack ? 1 : 2)
    .fillOpacity(spec.bars ? 80 : spec.stack ? 45 : 8)
    .gradientMode(spec.stack || spec.bars ? common.GraphGradientMode.None : common.GraphGradientMode.Opacity)
    .showPoints(common.VisibilityMode.Never)
    .spanNulls(false)
    .axisSoftMin(0)
    .tooltip(new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending));
  builder.legend(spec.table ? legend(["mean", "max"], common.LegendDisplayMode.Table, common.LegendPlacement.Right) : legend([]));
  if (spec.bars) builder.drawStyle(common.GraphDrawStyle.Bars).lineWidth(0);
  if (spec.stack || spec.bars) builder.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal).group("A"));
  return dress(builder, spec, "range");
}

/** One figure, with its course as a sparkline. */
export function spark(spec: Spec): Placed {
  const builder = new stat.PanelBuilder()
    .graphMode(common.BigValueGraphMode.Area)
    .colorMode(common.BigValueColorMode.Value)
    .textMode(common.BigValueTextMode.Value)
    .justifyMode(common.BigValueJustifyMode.Auto)
    .text(sized(spec))
    .reduceOptions(last());
  return dress(builder, spec, "range");
}

/** One figure, or several with their names. */
export function figure(spec: Spec & { named?: true }): Placed {
  const builder = new stat.PanelBuilder()
    .graphMode(common.BigValueGraphMode.None)
    .colorMode(common.BigValueColorMode.Value)
    .textMode(spec.named ? common.BigValueTextMode.ValueAndName : common.BigValueTextMode.Value)
    .justifyMode(common.BigValueJustifyMode.Auto)
    .text(sized(spec))
    .reduceOptions(last());
  return dress(builder, spec, "instant");
}

/** Bars side by side, longest first as the query sorts them. */
export function bars(spec: Spec): Placed {
  const builder = new bargauge.PanelBuilder()
    .displayMode(common.BarGaugeDisplayMode.Basic)
    .orientation(common.VizOrientation.Horizontal)
    .valueMode(common.BarGaugeValueMode.Text)
    .showUnfilled(true)
    .minVizHeight(14)
    .maxVizHeight(26)
    .text(new common.VizTextDisplayOptionsBuilder().valueSize(15))
    .reduceOptions(last());
  // Grafana leaves as much room for names as the one with most letters takes, though others may be wider: spaces at the end,
  // which it measures and does not draw, leave a little more.
  const queries = spec.queries.map((query) => ({ ...query, legend: `${query.legend}   ` }));
  return dress(builder, { min: 0, ...spec, queries }, "instant");
}

export function dial(spec: Spec): Placed {
  const builder = new gauge.PanelBuilder().showThresholdMarkers(true).showThresholdLabels(false).reduceOptions(last());
  return dress(builder, spec, "instant");
}

export function pie(spec: Spec): Placed {
  const shown = new piechart.PieChartLegendOptionsBuilder()
    .displayMode(common.LegendDisplayMode.Table)
    .placement(common.LegendPlacement.Right)
    .showLegend(true)
    .values([piechart.PieChartLegendValues.Percent]);
  const builder = new piechart.PanelBuilder().pieType(piechart.PieChartType.Donut).legend(shown).reduceOptions(last());
  return dress(builder, spec, "instant");
}

/** States over time, one line each. */
export function states(spec: Spec): Placed {
  const builder = new statetimeline.PanelBuilder()
    .showValue(common.VisibilityMode.Never)
    .mergeValues(true)
    .rowHeight(0.85)
    .fillOpacity(75)
    .lineWidth(0)
    .legend(spec.mappings === undefined ? new common.VizLegendOptionsBuilder().displayMode(common.LegendDisplayMode.Hidden).placement(common.LegendPlacement.Bottom).showLegend(false).calcs([]) : legend([]));
  return dress(builder, spec, "range");
}

/** A column of a table: the field that carries it, its title, its unit and how it looks. */
export interface Column {
  field: string;
  title: string;
  unit?: string;
  decimals?: number;
  width?: number;
  bar?: string;
  links?: Link[];
  thresholds?: Threshold[];
}

/**
 * A table of several instant queries, joined by the label or labels that they share. Columns stand in the order given; every
 * other field is hidden. A query with refId B gives the field `Value #B`; a lone query gives `Value`.
 */
export function sheet(spec: Spec & { columns: Column[]; sort?: string }): Placed {
  const many = spec.queries.length > 1;
  const shown = spec.columns.map((column) => column.field);
  const transformations: dashboard.DataTransformerConfig[] = [
    ...(many ? [{ id: "merge", options: {} }] : []),
    { id: "filterFieldsByName", options: { include: { names: shown } } },
    {
      id: "organize",
      options: {
        excludeByName: {},
        indexByName: Object.fromEntries(shown.map((field, index) => [field, index])),
        renameByName: Object.fromEntries(spec.columns.map(({ field, title }) => [field, title])),
      },
    },
  ];
  const overrides = spec.columns.map((column): Override => {
    const properties: dashboard.DynamicConfigValue[] = [];
    properties.push({ id: "unit", value: column.unit ?? units.words }, { id: "noValue", value: "–" });
    if (column.decimals !== undefined) properties.push({ id: "decimals", value: column.decimals });
    if (column.width !== undefined) properties.push({ id: "custom.width", value: column.width });
    if (column.links !== undefined) properties.push({ id: "links", value: column.links });
    if (column.thresholds !== undefined) {
      properties.push({ id: "thresholds", value: { mode: "absolute", steps: column.thresholds } });
      properties.push({ id: "color", value: { mode: "thresholds" } }, { id: "custom.cellOptions", value: { type: "color-text" } });
    }
    if (column.bar !== undefined) {
      properties.push({ id: "custom.cellOptions", value: { type: "gauge", mode: "basic", valueDisplayMode: "text" } });
      properties.push({ id: "min", value: 0 }, column.unit === units.ratio ? { id: "max", value: 1 } : { id: "fieldMinMax", value: true });
      properties.push({ id: "color", value: { mode: "fixed", fixedColor: column.bar } });
    }
    return { matcher: { id: "byName", options: column.title }, properties };
  });
  const builder = new table.PanelBuilder().showHeader(true).cellHeight(common.TableCellHeight.Sm).filterable(false).minWidth(60);
  if (spec.sort !== undefined) builder.sortBy([new common.TableSortByFieldStateBuilder().displayName(spec.sort).desc(true)]);
  const dressed = dress(builder, { ...spec, transformations, overrides: [...overrides, ...(spec.overrides ?? [])] }, "table");
  return dressed;
}

/** Words between panels. */
export function words(spec: { title: string; description: string; content: string; w: number; h: number }): Placed {
  const builder = new text.PanelBuilder().title(spec.title).description(spec.description).mode(text.TextMode.Markdown).content(spec.content).transparent(true);
  return { builder, w: spec.w, h: spec.h };
}
