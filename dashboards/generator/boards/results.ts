// Results per kilowatt-hour, and methods compared: what a joule brought, and how the usual ways of estimating would have erred.
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import type { Board } from "../shared/board.ts";
import * as colours from "../shared/colours.ts";
import { bars, figure, series, sheet, words, type Placed } from "../shared/panels.ts";
import { energy as used, here, largest, spaces } from "../shared/queries.ts";
import * as units from "../shared/units.ts";
import * as variables from "../shared/variables.ts";

const chosen = `${spaces}, workload=~"$workload"`;
const sum = (quantity: string, more = "") => `sum by (namespace, workload) (sum_over_time(workload:${quantity}:$sums{${chosen}${more}}[$__range]))`;
const energy = sum("noether_energy_joules");
const best = (expr: string) => `${expr} and on (namespace, workload) topk(15, ${energy})`;
// What a counter of results rose by over at most a day, by workload. Any counter with the labels namespace and pod will do.
const owner = `group by (cluster, namespace, pod, workload) (pod:noether_workload:owner{${chosen}})`;
const results = (over: string) =>
  `sum by (namespace, workload) (sum by (cluster, namespace, pod) (increase(\${result}{${spaces}}[${over}])) * on (cluster, namespace, pod) group_left (workload) ${owner})`;
const dayEnergy = `(sum by (namespace, workload) (sum_over_time(workload:noether_energy_joules:increase{${chosen}}[6h])) / 3.6e6 > 0)`;

/** The counter of results. */
const result = () =>
  new dashboard.TextBoxVariableBuilder("result")
    .label("Counter of results")
    .description("A counter with the labels namespace and pod: requests answered, images seen, tokens made")
    .defaultValue("noether_container_cpu_seconds_total")
    .current({ selected: true, text: "noether_container_cpu_seconds_total", value: "noether_container_cpu_seconds_total" });

const each: Placed[] = [
  words({
    title: "What is a result?",
    description: "How to read this board.",
    content:
      "A **result** is whatever the work is for: requests answered, images classified, tokens made, episodes played. Name any counter with the labels `namespace` and `pod` above; the energy beside it is the workload's, idle part and ended pods included. Until you do, results are CPU seconds, which tell how dear a second of computing is, not what it was good for.",
    w: 24,
    h: 3,
  }),
  bars({
    title: "Results per kWh",
    description: "The increase of the chosen counter over the last six hours by the energy of the same workload and time, of the fifteen best (workload:noether_energy_joules:increase, pod:noether_workload:owner).",
    unit: units.perKwh,
    queries: [{ expr: `sort_desc(topk(15, ${results("6h")} / on (namespace, workload) ${dayEnergy}))`, legend: "{{namespace}}/{{workload}}" }],
    color: "green",
    decimals: 0,
    empty: "no results with an owner",
    w: 12,
    h: 9,
  }),
  bars({
    title: "Energy per result",
    description: "The same the other way round: joules for each result, of the fifteen cheapest over the last six hours.",
    unit: units.joule,
    queries: [{ expr: `sort(bottomk(15, ${dayEnergy} * 3.6e6 / on (namespace, workload) (${results("6h")} > 0)))`, legend: "{{namespace}}/{{workload}}" }],
    color: colours.energy,
    decimals: 2,
    empty: "no results with an owner",
    w: 12,
    h: 9,
  }),
  series({
    title: "Results per kWh, last six hours",
    description: "The rate of the chosen counter over five minutes, as long as the power is taken over, by the power of the same workload, of the ten that drew most (workload:noether_power_watts:rate5m). A fall at equal work is a method, a machine or a batch size that got worse.",
    unit: units.perKwh,
    points: 120,
    queries: [
      {
        expr: `sum by (namespace, workload) (sum by (cluster, namespace, pod) (rate(\${result}{${spaces}}[5m])) * on (cluster, namespace, pod) group_left (workload) ${owner}) / on (namespace, workload) (sum by (namespace, workload) (workload:noether_power_watts:rate5m{${chosen}}) / 3.6e6 > 0) and on (namespace, workload) topk(10, sum by (namespace, workload) (${used("workload", chosen)}))`,
        legend: "{{namespace}}/{{workload}}",
      },
    ],
    timeFrom: "6h",
    empty: "no results with an owner",
    w: 24,
    h: 8,
  }),
];

const methods: Placed[] = [
  sheet({
    title: "Workloads compared",
    description:
      "Each method is a workload: choose those to compare above. Energy, CO2eq and cost over the range, ended pods included (workload:…:increase, beyond six hours :increase1h), of the fifteen with most energy, and what each is against the dearest.",
    unit: units.kwh,
    queries: [
      { expr: `topk(15, ${energy}) / 3.6e6` },
      { expr: best(sum("noether_emissions_grams")) },
      { expr: best(sum("noether_cost_dollars", ', cost="energy"')) },
      { expr: best(`sum by (namespace, workload) (avg_over_time(workload:noether_power_watts:rate5m{${chosen}}[$__range]))`) },
      { expr: best(`${energy} / on () group_left () max(${energy})`) },
    ],
    columns: [
      { field: "namespace", title: "Namespace" },
      { field: "workload", title: "Workload" },
      { field: "Value #A", title: "Energy", unit: units.kwh, decimals: 2 },
      { field: "Value #B", title: "CO2eq", unit: units.gram, decimals: 2 },
      { field: "Value #C", title: "Cost", unit: units.dollar, decimals: 3 },
      { field: "Value #D", title: "Mean power", unit: units.watt, decimals: 1 },
      { field: "Value #E", title: "Of the dearest", unit: units.ratio, decimals: 0, bar: colours.energy },
    ],
    sort: "Energy",
    empty: "no owners of pods are known",
    w: 14,
    h: 10,
  }),
  bars({
    title: "Energy by workload",
    description: "Energy over the range of the fifteen of the chosen workloads with most (workload:noether_energy_joules:increase or :increase1h).",
    unit: units.kwh,
    queries: [{ expr: `sort_desc(topk(15, ${energy} / 3.6e6))`, legend: "{{namespace}}/{{workload}}" }],
    color: colours.energy,
    empty: "no owners of pods are known",
    w: 10,
    h: 10,
  }),
  series({
    title: "Energy per hour",
    description: "Energy of each whole hour of the ten of the chosen workloads with most over the range (workload:noether_energy_joules:increase1h).",
    unit: units.kwh,
    queries: [
      {
        expr: `sum by (namespace, workload) (sum_over_time(workload:noether_energy_joules:increase1h{${chosen}}[1h])) / 3.6e6 and on (namespace, workload) topk(10, sum by (namespace, workload) (sum_over_time(workload:noether_energy_joules:increase1h{${chosen}}[$__range] @ end())))`,
        legend: "{{namespace}}/{{workload}}",
      },
    ],
    bars: true,
    interval: "1h",
    empty: "no whole hour yet",
    w: 12,
    h: 8,
  }),
  series({
    title: "Power side by side",
    description: "The power of the ten of the chosen workloads that drew most over the range (workload:noether_power_watts:rate5m).",
    unit: units.watt,
    points: 300,
    queries: [
      {
        expr: largest(10, "namespace, workload", `workload:noether_power_watts:rate5m{${chosen}}`, used("workload", chosen)),
        legend: "{{namespace}}/{{workload}}",
      },
    ],
    empty: "no owners of pods are known",
    w: 12,
    h: 8,
  }),
];

const all = (where = "") => `sum(sum_over_time(cluster:noether_energy_joules:$sums{${here}${where}}[$__range])) / 3.6e6`;
const facility = `sum(sum_over_time(cluster:noether_energy_joules:facility_increase{${here}}[$__range])) / 3.6e6`;
const shipped = `avg(avg by (grid_zone) (noether_grid_carbon_intensity_grams_per_kwh{provider="shipped", signal="average"}) and on (grid_zone) group by (grid_zone) (noether_node_grid_info{${here}}))`;

const estimates: Placed[] = [
  bars({
    title: "Ways of counting energy",
    description:
      "The cluster's energy over the range as different accounts would have it: with the building's share (PUE), at the meters, above the idle floor, processors alone, GPUs alone (cluster:noether_energy_joules:facility_increase and :increase, cluster:noether_idle_power_watts:rate5m). The first is what was drawn.",
    unit: units.kwh,
    queries: [
      { expr: facility, legend: "with PUE" },
      { expr: all(), legend: "at the meters" },
      {
        expr: `${all()} * (1 - sum(avg_over_time(cluster:noether_idle_power_watts:rate5m{${here}}[$__range])) / sum(avg_over_time(cluster:noether_power_watts:rate5m{${here}}[$__range])))`,
        legend: "without idle",
      },
      { expr: all(', component="cpu"'), legend: "processors alone" },
      { expr: all(', component="gpu"'), legend: "GPUs alone" },
    ],
    color: colours.energy,
    decimals: 2,
    empty: "nothing recorded",
    w: 12,
    h: 8,
  }),
  bars({
    title: "Ways of counting CO2eq",
    description:
      "The cluster's emissions over the range as different accounts would have them: hour by hour with PUE, at the yearly average of the zones with PUE, and that without PUE (cluster:noether_emissions_grams:increase, noether_grid_carbon_intensity_grams_per_kwh). The first is what Noether reports.",
    unit: units.gram,
    queries: [
      { expr: `sum(sum_over_time(cluster:noether_emissions_grams:increase{${here}}[$__range]))`, legend: "as the grid was" },
      { expr: `${facility} * on () ${shipped}`, legend: "yearly average" },
      { expr: `${all()} * on () ${shipped}`, legend: "yearly, no PUE" },
    ],
    color: colours.carbon,
    decimals: 2,
    empty: "no grid zone",
    w: 12,
    h: 8,
  }),
  figure({
    title: "What the idle floor costs",
    description: "The price of the energy over the range times the idle part of the power (cluster:noether_cost_dollars:increase or :increase1h, cluster:noether_idle_power_watts:rate5m): what switching off what is not needed could save.",
    unit: units.dollar,
    queries: [
      {
        expr: `sum(sum_over_time(cluster:noether_cost_dollars:$sums{${here}, cost="energy"}[$__range])) * sum(avg_over_time(cluster:noether_idle_power_watts:rate5m{${here}}[$__range])) / sum(avg_over_time(cluster:noether_power_watts:rate5m{${here}}[$__range]))`,
      },
    ],
    color: colours.cost,
    decimals: 2,
    empty: "no price, or no floor known",
    w: 8,
    h: 4,
  }),
  figure({
    title: "What PUE adds",
    description: "What the building drew beyond the meters, over the range (cluster:noether_energy_joules:facility_increase less :increase).",
    unit: units.kwh,
    queries: [{ expr: `${facility} - sum(sum_over_time(cluster:noether_energy_joules:increase{${here}}[$__range])) / 3.6e6` }],
    color: colours.energy,
    decimals: 2,
    empty: "nothing recorded",
    w: 8,
    h: 4,
  }),
  figure({
    title: "PUE",
    description: "What the buildings draw for each unit that the machines draw, over the last hour (cluster:noether_energy_joules:facility_increase by :increase).",
    unit: units.ratio,
    queries: [
      {
        expr: `sum(sum_over_time(cluster:noether_energy_joules:facility_increase{${here}}[1h])) / sum(sum_over_time(cluster:noether_energy_joules:increase{${here}}[1h]))`,
      },
    ],
    color: "text",
    decimals: 0,
    empty: "nothing recorded",
    w: 8,
    h: 4,
  }),
];

export const resultsBoard: Board = {
  uid: "noether-results",
  title: "Noether / Results per kWh",
  description: "Results per kilowatt-hour, workloads compared as methods, and how the usual ways of estimating would have erred.",
  variables: [variables.datasource(), variables.cluster(), variables.namespace(), variables.workload(), result(), variables.sums()],
  sections: [{ panels: each }, { title: "Methods compared", panels: methods }, { title: "Ways of counting", panels: estimates }],
};
