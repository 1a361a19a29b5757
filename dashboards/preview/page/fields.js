// Field configuration: Grafana's own overrides, over the options that its panels register.
import { Registry, applyFieldOverrides, cacheFieldDisplayNames, standardTransformers, standardTransformersRegistry, transformDataFrame } from '@grafana/data';
import { firstValueFrom } from 'rxjs';

standardTransformersRegistry.setInit(() =>
  [...new Set(Object.values(standardTransformers))].map((transformation) => ({ id: transformation.id, name: transformation.name, transformation })),
);

const STANDARD = ['displayName', 'description', 'unit', 'min', 'max', 'decimals', 'color', 'thresholds', 'mappings', 'links', 'actions', 'noValue', 'filterable', 'fieldMinMax'];

const HIDE = { hideFrom: { legend: false, tooltip: false, viz: false } };
const AXIS = {
  axisPlacement: 'auto',
  axisLabel: '',
  axisColorMode: 'text',
  axisWidth: undefined,
  axisSoftMin: undefined,
  axisSoftMax: undefined,
  axisGridShow: undefined,
  axisCenteredZero: false,
  axisBorderShow: false,
  scaleDistribution: { type: 'linear' },
};

// The options under `custom` that each type of panel knows, with their defaults.
const CUSTOM = {
  timeseries: {
    drawStyle: 'line',
    lineInterpolation: 'linear',
    lineWidth: 1,
    fillOpacity: 0,
    gradientMode: 'none',
    fillBelowTo: undefined,
    lineColor: undefined,
    lineStyle: undefined,
    barAlignment: 0,
    barWidthFactor: 0.6,
    barMaxWidth: undefined,
    spanNulls: false,
    insertNulls: false,
    showPoints: 'auto',
    showValues: false,
    pointSize: 5,
    pointColor: undefined,
    stacking: { mode: 'none', group: 'A' },
    transform: undefined,
    thresholdsStyle: { mode: 'off' },
    ...AXIS,
    ...HIDE,
  },
  barchart: { lineWidth: 1, fillOpacity: 80, gradientMode: 'none', thresholdsStyle: { mode: 'off' }, ...AXIS, ...HIDE },
  'state-timeline': { lineWidth: 0, fillOpacity: 70, spanNulls: false, insertNulls: false, axisPlacement: 'auto', ...HIDE },
  piechart: HIDE,
  stat: HIDE,
  gauge: { neutral: undefined, ...HIDE },
  bargauge: HIDE,
  table: {
    align: 'auto',
    width: undefined,
    minWidth: 150,
    displayMode: undefined,
    cellOptions: { type: 'auto' },
    inspect: false,
    filterable: undefined,
    hidden: undefined,
    wrapHeaderText: undefined,
    wrapText: undefined,
    tooltip: undefined,
    footer: undefined,
    styleField: undefined,
    ...HIDE,
  },
  text: {},
};

function registryOf(type) {
  const known = CUSTOM[type] ?? {};
  const item = (id, path, isCustom) => ({
    id,
    path,
    name: id,
    isCustom,
    shouldApply: () => true,
    // Grafana expands variables in display names only.
    process: id === 'displayName' ? (value, { replaceVariables, field }) => value && replaceVariables(value, field.state.scopedVars) : (value) => value,
  });
  return new Registry(() => [...STANDARD.map((id) => item(id, id, false)), ...Object.keys(known).map((id) => item(`custom.${id}`, id, true))]);
}

// A slip in a name would otherwise be passed over without a word.
function refuseUnknown({ defaults, overrides }, registry, type) {
  const asked = [
    ...Object.keys(defaults).filter((key) => key !== 'custom'),
    ...Object.keys(defaults.custom ?? {}).map((key) => `custom.${key}`),
    ...overrides.flatMap(({ properties }) => properties.map(({ id }) => id)),
  ];
  for (const id of asked) {
    // custom.stacking.mode is a path into custom.stacking, custom.hideFrom and their like are whole objects.
    if (!registry.getIfExists(id)) throw new Error(`fieldConfig: ${id} is no option of a ${type} panel`);
  }
}

/** The frames, transformed as the panel says. */
export async function transformed(frames, transformations, replace) {
  for (const { id } of transformations) if (!standardTransformersRegistry.getIfExists(id)) throw new Error(`transformation ${id}: not one of Grafana's standard ones`);
  return firstValueFrom(transformDataFrame(transformations, frames, { interpolate: replace }));
}

/** The frames with their display: units, colours, mappings, links. */
export function configured(frames, panel, replace, theme) {
  const registry = registryOf(panel.type);
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  refuseUnknown({ defaults, overrides }, registry, panel.type);
  const custom = Object.fromEntries(Object.entries({ ...CUSTOM[panel.type], ...defaults.custom }).filter(([, value]) => value !== undefined));
  // As Grafana saves it: -Infinity is null in JSON.
  const thresholds = steps(defaults.thresholds) ?? { mode: 'absolute', steps: [{ value: -Infinity, color: 'green' }, { value: 80, color: 'red' }] };
  const source = {
    defaults: { color: defaultColour(panel.type), ...defaults, thresholds, custom },
    overrides: overrides.map((rule) => ({
      ...rule,
      properties: rule.properties.map((one) => (one.id === 'thresholds' ? { ...one, value: steps(one.value) } : one)),
    })),
  };
  const shown = applyFieldOverrides({ data: frames, fieldConfig: source, replaceVariables: replace, theme, timeZone: 'utc', fieldConfigRegistry: registry });
  cacheFieldDisplayNames(shown);
  return shown;
}

const steps = (thresholds) =>
  thresholds && { ...thresholds, steps: thresholds.steps.map((step) => ({ ...step, value: step.value ?? -Infinity })) };

const defaultColour = (type) => ({ mode: ['timeseries', 'barchart', 'piechart'].includes(type) ? 'palette-classic' : 'thresholds' });
