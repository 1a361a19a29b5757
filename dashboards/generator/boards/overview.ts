// The overview: what all of it draws, emits and costs, who it is, and how far the figures can be trusted.
import type { Board } from "../shared/board.ts";
import * as colours from "../shared/colours.ts";
import { bars, dial, figure, pie, series, sheet, spark, type Placed } from "../shared/panels.ts";
import { board, here, energy as used, kwh, largest, watts } from "../shared/queries.ts";
import * as units from "../shared/units.ts";
import * as variables from "../shared/variables.ts";

interface Quantity {
  name: string;
  color: string;
  unit: string;
  /** What is added up, with its selector's end still open. */
  recorded: (range: string) => string;
  from: string;
  empty: string;
}

const energy: Quantity = {
  name: "Energy",
  color: colours.energy,
  unit: units.kwh,
  recorded: (range) => kwh(`sum(sum_over_time(cluster:noether_energy_joules:increase{${here}}[${range}]))`),
  from: "Energy at the nodes' meters, idle and active (cluster:noether_energy_joules:increase).",
  empty: "nothing recorded",
};
const carbon: Quantity = {
  name: "CO2eq",
  color: colours.carbon,
  unit: units.gram,
  recorded: (range) => `sum(sum_over_time(cluster:noether_emissions_grams:increase{${here}}[${range}]))`,
  from: "Emissions of that energy at the grid's intensity while it was used, PUE included (cluster:noether_emissions_grams:increase).",
  empty: "no grid zone",
};
const cost: Quantity = {
  name: "Cost",
  color: colours.cost,
  unit: units.dollar,
  recorded: (range) => `sum(sum_over_time(cluster:noether_cost_dollars:increase{${here}, cost="energy"}[${range}]))`,
  from: "The energy's price, PUE included (cluster:noether_cost_dollars:increase).",
  empty: "no energy price",
};
const quantities = [energy, carbon, cost];

/** The period so far, beside as much of the one before: yesterday up to this time of day, last month up to this day. */
const period = (so: string, before: string, begin: string, shift: string): Placed[] =>
  quantities.flatMap((quantity) => [
    figure({
      title: `${quantity.name} ${so}`,
      description: `${quantity.from} From the period's begin, in the board's time zone, until now.`,
      unit: quantity.unit,
      queries: [{ expr: quantity.recorded("$__range") }],
      timeFrom: begin,
      color: quantity.color,
      empty: quantity.empty,
      decimals: 2,
      w: 4,
      h: 3,
    }),
    figure({
      title: before,
      description: `${quantity.from} As much of the period before as has passed of this one, so that the two compare.`,
      unit: quantity.unit,
      queries: [{ expr: quantity.recorded("$__range") }],
      timeFrom: begin,
      timeShift: shift,
      color: "text",
      empty: "not recorded",
      decimals: 2,
      w: 4,
      h: 3,
    }),
  ]);

const now: Placed[] = [
  spark({
    title: "Power now",
    description: "What the nodes draw at their meters, over five minutes (cluster:noether_power_watts:rate5m).",
    unit: units.watt,
    queries: [{ expr: `sum(cluster:noether_power_watts:rate5m{${here}})` }],
    color: colours.energy,
    empty: "no meter is read",
    w: 8,
    h: 5,
  }),
  spark({
    title: "CO2eq of the last hour",
    description: carbon.from,
    unit: units.gram,
    queries: [{ expr: carbon.recorded("1h") }],
    color: colours.carbon,
    empty: carbon.empty,
    w: 8,
    h: 5,
  }),
  spark({
    title: "Cost of the last hour",
    description: cost.from,
    unit: units.dollar,
    queries: [{ expr: cost.recorded("1h") }],
    color: colours.cost,
    empty: cost.empty,
    decimals: 2,
    w: 8,
    h: 5,
  }),
];

const namespacePower = watts("namespace", here);
const workloadPower = watts("workload", here);
const topNamespaces = largest(10, "namespace", namespacePower, used("namespace", here));
const topWorkloads = largest(10, "namespace, workload", workloadPower, used("workload", here));
const toNamespace = [{ title: "Pods of ${__field.labels.namespace}", url: board("noether-workload", "var-namespace=${__field.labels.namespace}") }];
const toWorkload = [
  {
    title: "Pods of ${__field.labels.workload}",
    url: board("noether-workload", "var-namespace=${__field.labels.namespace}&var-workload=${__field.labels.workload}"),
  },
];
const range = (name: string, more = "") => `sum_over_time(${name}:$sums{${here}${more}}[$__range])`;
/** The twenty namespaces with the most energy of the range, for each column alike. */
const rows = (expr: string) => `${expr} and on (namespace) topk(20, sum by (namespace) (${range("namespace:noether_energy_joules")}))`;

const who: Placed[] = [
  series({
    title: "Power by namespace",
    description:
      "The ten namespaces that drew most over the range (namespace:noether_power_watts:rate5m; beyond a day the mean of each hour, from noether_energy_joules:increase1h). Everything else: other namespaces, what runs outside of pods, and what nobody caused; together, what the nodes draw.",
    unit: units.watt,
    points: 300,
    queries: [
      { expr: topNamespaces, legend: "{{namespace}}" },
      { expr: `clamp_min(sum(${watts("cluster", here)}) - (sum(${topNamespaces}) or vector(0)), 0)`, legend: "everything else" },
    ],
    colours: { "everything else": colours.modes["everything else"]! },
    stack: true,
    links: toNamespace,
    empty: "no meter is read",
    w: 14,
    h: 9,
  }),
  bars({
    title: "Energy by namespace",
    description: "Energy over the range of the ten namespaces with most, ended pods included (namespace:noether_energy_joules:increase, beyond six hours :increase1h in whole hours).",
    unit: units.kwh,
    queries: [{ expr: `sort_desc(topk(10, sum by (namespace) (${range("namespace:noether_energy_joules")}) / 3.6e6))`, legend: "{{namespace}}" }],
    color: colours.energy,
    links: toNamespace,
    empty: "no pods by name",
    w: 10,
    h: 9,
  }),
  series({
    title: "Power by workload",
    description: "The ten workloads (Deployments, Jobs and other owners of pods) that drew most over the range (workload:noether_power_watts:rate5m; beyond a day the mean of each hour, from noether_energy_joules:increase1h).",
    unit: units.watt,
    points: 200,
    queries: [{ expr: topWorkloads, legend: "{{namespace}}/{{workload}}" }],
    stack: true,
    links: toWorkload,
    empty: "no owners of pods are known",
    w: 14,
    h: 9,
  }),
  bars({
    title: "Energy by workload",
    description: "Energy over the range of the ten workloads with most, ended pods included (workload:noether_energy_joules:increase, beyond six hours :increase1h in whole hours).",
    unit: units.kwh,
    queries: [
      { expr: `sort_desc(topk(10, sum by (namespace, workload) (${range("workload:noether_energy_joules")}) / 3.6e6))`, legend: "{{namespace}}/{{workload}}" },
    ],
    color: colours.energy,
    links: toWorkload,
    empty: "no owners of pods are known",
    w: 10,
    h: 9,
  }),
  sheet({
    title: "Namespaces",
    description:
      "The twenty namespaces with most energy over the range, ended pods included (namespace:…:increase, beyond six hours :increase1h in whole hours). Share: of what the nodes drew. Budget: what is used of the energy budget that is nearest to its end.",
    unit: units.kwh,
    queries: [
      { expr: rows(`sum by (namespace) (${range("namespace:noether_energy_joules")}) / 3.6e6`) },
      { expr: rows(`sum by (namespace) (${range("namespace:noether_emissions_grams")})`) },
      { expr: rows(`sum by (namespace) (${range("namespace:noether_cost_dollars", ', cost="energy"')})`) },
      {
        expr: rows(
          `sum by (namespace) (${range("namespace:noether_energy_joules")}) / on () group_left () sum(${range("cluster:noether_energy_joules")})`,
        ),
      },
      { expr: rows(`max by (namespace) (budget:noether_energy_joules:used_ratio{${here}, namespace!="", pod="", workload=""})`) },
    ],
    columns: [
      { field: "namespace", title: "Namespace", links: [{ title: "Its pods", url: board("noether-workload", "var-namespace=${__value.raw}") }] },
      { field: "Value #A", title: "Energy", unit: units.kwh, decimals: 2 },
      { field: "Value #B", title: "CO2eq", unit: units.gram, decimals: 2 },
      { field: "Value #C", title: "Cost", unit: units.dollar, decimals: 2 },
      { field: "Value #D", title: "Share", unit: units.ratio, decimals: 1, bar: colours.energy },
      {
        field: "Value #E",
        title: "Budget used",
        unit: units.ratio,
        decimals: 0,
        thresholds: [
          { value: null, color: "green" },
          { value: 0.8, color: "orange" },
          { value: 1, color: "red" },
        ],
      },
    ],
    sort: "Energy",
    empty: "no pods by name",
    w: 24,
    h: 9,
  }),
];

const zones = "grid_zone:noether_carbon_intensity_grams_per_kwh:selected";

const grid: Placed[] = [
  figure({
    title: "Grid intensity",
    description: `What a kilowatt-hour emits now in each grid zone that these nodes draw from (${zones}; lifecycle before direct, live before shipped).`,
    unit: units.intensity,
    queries: [
      { expr: `topk(4, ${zones} and on (grid_zone) group by (grid_zone) (noether_node_grid_info{${here}}))`, legend: "{{grid_zone}}" },
    ],
    named: true,
    decimals: 0,
    thresholds: [
      { value: null, color: "green" },
      { value: 150, color: "yellow" },
      { value: 400, color: "orange" },
      { value: 600, color: "red" },
    ],
    empty: "no grid zone",
    w: 4,
    h: 8,
  }),
  series({
    title: "Intensity of the grid",
    description: `The intensity by which energy becomes CO2eq, for the zones of these nodes (${zones}). A flat line is the shipped yearly average.`,
    unit: units.intensity,
    queries: [{ expr: `topk(10, ${zones} and on (grid_zone) group by (grid_zone) (noether_node_grid_info{${here}}))`, legend: "{{grid_zone}}" }],
    empty: "no grid zone",
    w: 9,
    h: 8,
  }),
  bars({
    title: "Budgets nearest to their end",
    description: "What is used of the ten energy and carbon budgets that are nearest to their end (budget:noether_energy_joules:used_ratio and budget:noether_emissions_grams:used_ratio).",
    unit: units.ratio,
    queries: [
      {
        expr: `sort_desc(topk(5, budget:noether_energy_joules:used_ratio{${here}}))`,
        legend: "{{namespace}}{{user}}{{account}}{{job_id}}{{unit}}{{vm}} {{workload}}{{pod}} energy, {{period}}",
      },
      {
        expr: `sort_desc(topk(5, budget:noether_emissions_grams:used_ratio{${here}}))`,
        legend: "{{namespace}}{{user}}{{account}}{{job_id}}{{unit}}{{vm}} {{workload}}{{pod}} CO2eq, {{period}}",
      },
    ],
    thresholds: [
      { value: null, color: "green" },
      { value: 0.8, color: "orange" },
      { value: 1, color: "red" },
    ],
    max: 1,
    decimals: 0,
    empty: "no budgets",
    w: 11,
    h: 8,
  }),
];

const power = `sum(cluster:noether_power_watts:rate5m{${here}})`;
const idle = `(sum(cluster:noether_idle_power_watts:rate5m{${here}}) or vector(0))`;
const nobody = (mode = "") => `(sum(cluster:noether_unattributed_power_watts:rate5m{${here}${mode}}) or vector(0))`;
const parts = [
  { expr: `clamp_min(${power} - ${idle} - ${nobody(', mode="active"')}, 0)`, legend: "charged, active" },
  { expr: `clamp_min(${idle} - ${nobody(', mode="idle"')}, 0)`, legend: "charged, idle" },
  { expr: `${nobody()} and on () ${power}`, legend: "nobody" },
];

const trust: Placed[] = [
  pie({
    title: "Who is charged, now",
    description:
      "The nodes' power in three parts: what workloads are charged above the idle floor, what they are charged of the floor, and what nobody is charged with (cluster:noether_{power,idle_power,unattributed_power}_watts:rate5m).",
    unit: units.watt,
    queries: parts,
    colours: colours.modes,
    empty: "no meter is read",
    w: 6,
    h: 8,
  }),
  series({
    title: "Who is charged",
    description: "The same three parts over time. A growing grey part means work that no container, job, unit or machine is known for.",
    unit: units.watt,
    queries: parts,
    colours: colours.modes,
    stack: true,
    empty: "no meter is read",
    w: 10,
    h: 8,
  }),
  series({
    title: "Power by component",
    description: "Processors, memory, accelerators, and what else a whole-node meter sees (cluster:noether_power_watts:rate5m).",
    unit: units.watt,
    queries: [{ expr: `sum by (component) (cluster:noether_power_watts:rate5m{${here}})`, legend: "{{component}}" }],
    colours: colours.components,
    stack: true,
    empty: "no meter is read",
    w: 8,
    h: 8,
  }),
  dial({
    title: "Charged",
    description: "The part of the nodes' power that workloads are charged with (1 - cluster:noether_unattributed_power_watts:rate5m / cluster:noether_power_watts:rate5m).",
    unit: units.ratio,
    queries: [{ expr: `1 - ${nobody()} / ${power}` }],
    thresholds: [
      { value: null, color: "red" },
      { value: 0.5, color: "orange" },
      { value: 0.8, color: "green" },
    ],
    min: 0,
    max: 1,
    decimals: 1,
    empty: "no meter is read",
    w: 5,
    h: 6,
  }),
  dial({
    title: "Idle",
    description: "The part of the nodes' power that is their idle floor, charged or not (cluster:noether_idle_power_watts:rate5m / cluster:noether_power_watts:rate5m). 0 while floors are unknown.",
    unit: units.ratio,
    queries: [{ expr: `${idle} / ${power}` }],
    color: colours.modes["idle"],
    min: 0,
    max: 1,
    decimals: 1,
    empty: "no meter is read",
    w: 5,
    h: 6,
  }),
  dial({
    title: "Modelled",
    description: "The part of the nodes' power that comes from a model, because nothing measures it (cluster:noether_modelled_power_watts:rate5m). Tens of percent off is normal there.",
    unit: units.ratio,
    queries: [{ expr: `(sum(cluster:noether_modelled_power_watts:rate5m{${here}}) or vector(0)) / ${power}` }],
    thresholds: [
      { value: null, color: "green" },
      { value: 0.01, color: "orange" },
      { value: 0.5, color: "red" },
    ],
    min: 0,
    max: 1,
    decimals: 1,
    empty: "no meter is read",
    w: 5,
    h: 6,
  }),
  bars({
    title: "Largest nodes",
    description: "The nodes that draw most now (node:noether_power_watts:rate5m).",
    unit: units.watt,
    queries: [{ expr: `sort_desc(topk(6, sum by (node) (node:noether_power_watts:rate5m{${here}})))`, legend: "{{node}}" }],
    color: colours.energy,
    links: [{ title: "Node ${__field.labels.node}", url: board("noether-node", "var-node=${__field.labels.node}") }],
    empty: "no meter is read",
    w: 9,
    h: 6,
  }),
];

export const overview: Board = {
  uid: "noether-overview",
  title: "Noether / Overview",
  description: "Energy, CO2eq and cost of a cluster: now, today, this month; by namespace and workload; and how far the figures can be trusted.",
  variables: [variables.datasource(), variables.cluster(), variables.sums(), ...variables.lines()],
  sections: [
    { panels: [...now, ...period("today", "Yesterday by now", "now/d", "1d"), ...period("this month", "Last month by now", "now/M", "1M")] },
    { title: "Who", panels: who },
    { title: "Grid and budgets", panels: grid },
    { title: "Where it goes", panels: trust },
  ],
};
