// Carbon: how clean the grid is, what that makes of the energy, and what it would have been elsewhere or at another hour.
import type { Board } from "../shared/board.ts";
import * as colours from "../shared/colours.ts";
import { bars, figure, series, sheet, spark, type Placed } from "../shared/panels.ts";
import { here } from "../shared/queries.ts";
import * as units from "../shared/units.ts";
import * as variables from "../shared/variables.ts";

const selected = 'grid_zone:noether_carbon_intensity_grams_per_kwh:selected{grid_zone=~"$grid_zone"}';
const ours = `group by (grid_zone) (noether_node_grid_info{${here}})`;
const none = "no grid zone";
const clean = [
  { value: null, color: "green" },
  { value: 150, color: "yellow" },
  { value: 400, color: "orange" },
  { value: 600, color: "red" },
];
const emitted = `sum(sum_over_time(cluster:noether_emissions_grams:$sums{${here}}[$__range]))`;
const used = `sum(sum_over_time(cluster:noether_energy_joules:facility_increase{${here}}[1h])) / 3.6e6`;
const raw = (provider: string) => `avg by (grid_zone) (noether_grid_carbon_intensity_grams_per_kwh{signal="average", grid_zone=~"$grid_zone", provider${provider}})`;

const head: Placed[] = [
  spark({
    title: "CO2eq of the last hour",
    description: "Emissions of the last hour, PUE included (cluster:noether_emissions_grams:increase).",
    unit: units.gram,
    queries: [{ expr: `sum(sum_over_time(cluster:noether_emissions_grams:increase{${here}}[1h]))` }],
    color: colours.carbon,
    empty: none,
    w: 6,
    h: 4,
  }),
  figure({
    title: "CO2eq",
    description: "Emissions over the range at the grid's intensity while the energy was used, PUE included (cluster:noether_emissions_grams:increase, beyond six hours :increase1h in whole hours).",
    unit: units.gram,
    queries: [{ expr: emitted }],
    color: colours.carbon,
    decimals: 2,
    empty: none,
    w: 6,
    h: 4,
  }),
  figure({
    title: "Its cost to society",
    description: "Emissions over the range times the social cost of carbon that is set (cluster:noether_cost_dollars:increase or :increase1h, cost carbon).",
    unit: units.dollar,
    queries: [{ expr: `sum(sum_over_time(cluster:noether_cost_dollars:$sums{${here}, cost="carbon"}[$__range]))` }],
    color: colours.cost,
    decimals: 2,
    empty: "no social cost is set",
    w: 6,
    h: 4,
  }),
  figure({
    title: "Mean intensity paid",
    description: "Emissions over the range by the energy that the buildings drew meanwhile (cluster:noether_emissions_grams:increase and cluster:noether_energy_joules:facility_increase). Below the grid's mean, work ran in clean hours.",
    unit: units.intensity,
    queries: [
      {
        expr: `sum(sum_over_time(cluster:noether_emissions_grams:increase{${here}}[$__range])) / (sum(sum_over_time(cluster:noether_energy_joules:facility_increase{${here}}[$__range])) / 3.6e6)`,
      },
    ],
    thresholds: clean,
    decimals: 0,
    empty: none,
    w: 6,
    h: 4,
  }),
];

const course: Placed[] = [
  series({
    title: "Intensity by grid zone",
    description: "The intensity by which energy becomes CO2eq, of at most twenty zones (grid_zone:noether_carbon_intensity_grams_per_kwh:selected; lifecycle before direct, live before shipped).",
    unit: units.intensity,
    queries: [{ expr: `topk(20, ${selected})`, legend: "{{grid_zone}}" }],
    empty: none,
    w: 14,
    h: 9,
  }),
  bars({
    title: "Now, from clean to dirty",
    description: "What a kilowatt-hour emits now in each chosen grid zone, of at most 25 (grid_zone:noether_carbon_intensity_grams_per_kwh:selected).",
    unit: units.intensity,
    queries: [{ expr: `sort(bottomk(25, ${selected}))`, legend: "{{grid_zone}}" }],
    thresholds: clean,
    decimals: 0,
    empty: none,
    w: 10,
    h: 9,
  }),
  series({
    title: "Live against the yearly average",
    description: "What a live provider says, and the shipped average of the year, of the same zones (noether_grid_carbon_intensity_grams_per_kwh, signal average).",
    unit: units.intensity,
    queries: [
      { expr: `topk(10, ${raw('!="shipped"')})`, legend: "{{grid_zone}} live" },
      { expr: `topk(10, ${raw('="shipped"')} and on (grid_zone) ${ours})`, legend: "{{grid_zone}} year" },
    ],
    overrides: [
      {
        matcher: { id: "byRegexp", options: "/ year$/" },
        properties: [
          { id: "custom.lineStyle", value: { fill: "dash", dash: [8, 6] } },
          { id: "custom.fillOpacity", value: 0 },
        ],
      },
    ],
    empty: none,
    w: 14,
    h: 8,
  }),
  bars({
    title: "Live by the yearly average",
    description: "The live intensity now as a part of the shipped average of the year: below 1 the grid is cleaner than usual (noether_grid_carbon_intensity_grams_per_kwh, signal average).",
    unit: units.ratio,
    queries: [{ expr: `sort(bottomk(20, ${raw('!="shipped"')} / on (grid_zone) ${raw('="shipped"')}))`, legend: "{{grid_zone}}" }],
    thresholds: [
      { value: null, color: "green" },
      { value: 1, color: "orange" },
    ],
    decimals: 0,
    empty: "no live provider",
    w: 10,
    h: 8,
  }),
];

/** The energy of each whole hour of the range at another zone's intensity of that hour. */
const elsewhere = `sum_over_time((${used} * on () group_right () avg_over_time(${selected}[1h]))[$__range:1h])`;

const where: Placed[] = [
  bars({
    title: "What it would have been elsewhere",
    description:
      "The same energy, hour by hour, at the intensity of each chosen zone, of at most 25, from clean to dirty; PUE as it is here (cluster:noether_energy_joules:facility_increase times grid_zone:noether_carbon_intensity_grams_per_kwh:selected). The zones are those that noether grid is told of: add those where you could compute.",
    unit: units.gram,
    queries: [{ expr: `sort(bottomk(25, ${elsewhere}))`, legend: "{{grid_zone}}" }],
    thresholds: [{ value: null, color: "blue" }],
    decimals: 2,
    empty: none,
    w: 14,
    h: 11,
  }),
  sheet({
    title: "By region",
    description: "The same figures beside what was emitted: Change is against the emissions over the range here.",
    unit: units.gram,
    queries: [
      { expr: `bottomk(25, ${elsewhere})` },
      { expr: `bottomk(25, ${elsewhere}) / on () group_left () (sum(sum_over_time(cluster:noether_emissions_grams:increase{${here}}[$__range])) > 0) - 1` },
      { expr: `bottomk(25, avg_over_time(${selected}[$__range]))` },
    ],
    columns: [
      { field: "grid_zone", title: "Grid zone" },
      { field: "Value #A", title: "CO2eq", unit: units.gram, decimals: 2 },
      {
        field: "Value #B",
        title: "Change",
        unit: units.ratio,
        decimals: 0,
        thresholds: [
          { value: null, color: "green" },
          { value: 0, color: "orange" },
        ],
      },
      { field: "Value #C", title: "Mean", unit: units.intensity, decimals: 0 },
    ],
    empty: none,
    w: 10,
    h: 11,
  }),
];

const window = `avg_over_time(${selected}[4h])`;
const cheapest = `min_over_time(${window}[20h:15m])`;

const when: Placed[] = [
  sheet({
    title: "Cheapest four hours of the last day",
    description:
      "For each chosen zone the mean intensity of the last day, that of its cleanest four hours, what a job of four hours would have saved there and then against the mean, and when they ended (grid_zone:noether_carbon_intensity_grams_per_kwh:selected).",
    unit: units.intensity,
    queries: [
      { expr: `topk(25, avg_over_time(${selected}[1d]))` },
      { expr: cheapest },
      { expr: `1 - ${cheapest} / avg_over_time(${selected}[1d])` },
      { expr: `1000 * max_over_time((${window} * 0 + time() and ${window} <= min_over_time(${window}[20h:15m] @ end()))[20h:15m])` },
    ],
    columns: [
      { field: "grid_zone", title: "Grid zone" },
      { field: "Value #A", title: "Mean of the day", unit: units.intensity, decimals: 0 },
      { field: "Value #B", title: "Cleanest 4 h", unit: units.intensity, decimals: 0 },
      { field: "Value #C", title: "Saved", unit: units.ratio, decimals: 0, bar: "green" },
      { field: "Value #D", title: "Ended", unit: units.instant },
    ],
    sort: "Saved",
    empty: none,
    w: 14,
    h: 8,
  }),
  figure({
    title: "In the cleanest hours",
    description:
      "What the energy of the last day would have emitted had all of it been used in its zone's cleanest four hours, beside what it did (cluster:noether_emissions_grams:increase; the mean over these nodes' zones of cleanest by mean intensity).",
    unit: units.gram,
    queries: [
      { expr: `sum(sum_over_time(cluster:noether_emissions_grams:increase{${here}}[1d]))`, legend: "as it was" },
      {
        expr: `sum(sum_over_time(cluster:noether_energy_joules:facility_increase{${here}}[1d])) / 3.6e6 * avg(${cheapest} and on (grid_zone) ${ours})`,
        legend: "in the cleanest hours",
      },
    ],
    named: true,
    color: colours.carbon,
    decimals: 2,
    empty: none,
    w: 10,
    h: 8,
  }),
  series({
    title: "CO2eq per hour",
    description: "Emissions of each whole hour, PUE included (cluster:noether_emissions_grams:increase1h).",
    unit: units.gram,
    queries: [{ expr: `sum(sum_over_time(cluster:noether_emissions_grams:increase1h{${here}}[1h]))`, legend: "CO2eq" }],
    colours: { CO2eq: colours.carbon },
    bars: true,
    interval: "1h",
    empty: none,
    w: 12,
    h: 8,
  }),
  series({
    title: "CO2eq by namespace, per hour",
    description: "Emissions of each whole hour of the ten namespaces with most over the range (namespace:noether_emissions_grams:increase1h).",
    unit: units.gram,
    queries: [
      {
        expr: `sum by (namespace) (sum_over_time(namespace:noether_emissions_grams:increase1h{${here}}[1h])) and on (namespace) topk(10, sum by (namespace) (sum_over_time(namespace:noether_emissions_grams:increase1h{${here}}[$__range] @ end())))`,
        legend: "{{namespace}}",
      },
    ],
    bars: true,
    interval: "1h",
    empty: "no pods by name, or no grid zone",
    w: 12,
    h: 8,
  }),
];

const providers: Placed[] = [
  sheet({
    title: "Providers",
    description: "Who says it, of at most fifty: signal, basis, whether it is an estimate, the value, and how old it is (noether_grid_carbon_intensity_grams_per_kwh, noether_grid_data_timestamp_seconds). Marginal values are shown and never mixed in.",
    unit: units.intensity,
    queries: [
      { expr: `topk(50, max by (grid_zone, provider, signal, basis, estimated) (noether_grid_carbon_intensity_grams_per_kwh{grid_zone=~"$grid_zone"}))` },
      { expr: `time() - max by (grid_zone, provider, signal, basis) (noether_grid_data_timestamp_seconds{grid_zone=~"$grid_zone"})` },
    ],
    columns: [
      { field: "grid_zone", title: "Grid zone" },
      { field: "provider", title: "Provider" },
      { field: "signal", title: "Signal" },
      { field: "basis", title: "Basis" },
      { field: "estimated", title: "Estimated" },
      { field: "Value #A", title: "Intensity", unit: units.intensity, decimals: 0 },
      { field: "Value #B", title: "Age", unit: units.seconds, decimals: 0 },
    ],
    empty: "no intensity is served",
    w: 14,
    h: 8,
  }),
  series({
    title: "Requests that brought nothing",
    description: "Failed requests to providers per hour, and why (noether_grid_request_failures_total).",
    unit: units.count,
    plain: true,
    queries: [{ expr: `topk(20, sum by (provider, reason) (increase(noether_grid_request_failures_total[1h])) > 0)`, legend: "{{provider}}: {{reason}}" }],
    bars: true,
    interval: "1h",
    empty: "all requests were answered",
    w: 10,
    h: 8,
  }),
];

export const carbon: Board = {
  uid: "noether-carbon",
  title: "Noether / Carbon",
  description: "Carbon intensity by grid zone, live against average; what the energy emitted, and what it would have elsewhere or at another hour.",
  variables: [variables.datasource(), variables.cluster(), variables.zone(), variables.sums()],
  sections: [
    { panels: head },
    { title: "The grid", panels: course },
    { title: "Elsewhere", panels: where },
    { title: "At another hour", panels: when },
    { title: "Providers", panels: providers },
  ],
};
