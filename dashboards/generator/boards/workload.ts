// Namespaces, workloads and pods: who draws what, over which time, at what carbon and cost, against which budget.
import type { Board } from "../shared/board.ts";
import * as colours from "../shared/colours.ts";
import { bars, series, sheet, spark, figure, states, type Placed } from "../shared/panels.ts";
import { chosen, energy, largest, spaces } from "../shared/queries.ts";
import * as units from "../shared/units.ts";
import * as variables from "../shared/variables.ts";

const overRange = (quantity: string, more = "") =>
  chosen((level, where) => `sum(sum_over_time(${level}:${quantity}:$sums{${where}${more}}[$__range]))`);

const head: Placed[] = [
  spark({
    title: "Power now",
    description: "What the chosen namespaces and workloads draw, idle part included (namespace: and workload:noether_power_watts:rate5m).",
    unit: units.watt,
    queries: [{ expr: chosen((level, where) => `sum(${level}:noether_power_watts:rate5m{${where}})`) }],
    color: colours.energy,
    empty: "no such pods now",
    w: 6,
    h: 4,
  }),
  figure({
    title: "Energy",
    description: "Energy over the range, ended pods included (noether_energy_joules:increase, beyond six hours :increase1h in whole hours).",
    unit: units.kwh,
    queries: [{ expr: `(${overRange("noether_energy_joules")}) / 3.6e6` }],
    color: colours.energy,
    decimals: 2,
    empty: "no such pods then",
    w: 6,
    h: 4,
  }),
  figure({
    title: "CO2eq",
    description: "Emissions over the range at the grid's intensity while the energy was used, PUE included (noether_emissions_grams:increase or :increase1h).",
    unit: units.gram,
    queries: [{ expr: overRange("noether_emissions_grams") }],
    color: colours.carbon,
    decimals: 2,
    empty: "no grid zone",
    w: 6,
    h: 4,
  }),
  figure({
    title: "Energy cost",
    description: "The price of the energy over the range, PUE included (noether_cost_dollars:increase or :increase1h).",
    unit: units.dollar,
    queries: [{ expr: overRange("noether_cost_dollars", ', cost="energy"') }],
    color: colours.cost,
    decimals: 2,
    empty: "no energy price",
    w: 6,
    h: 4,
  }),
];

const namespacePower = `namespace:noether_power_watts:rate5m{${spaces}}`;
const workloadPower = `workload:noether_power_watts:rate5m{${spaces}, workload=~"$workload"}`;

const course: Placed[] = [
  series({
    title: "Power by component",
    description: "What the chosen draw, by component: processor, memory, accelerator (namespace: and workload:noether_power_watts:rate5m).",
    unit: units.watt,
    queries: [{ expr: chosen((level, where) => `sum by (component) (${level}:noether_power_watts:rate5m{${where}})`), legend: "{{component}}" }],
    colours: colours.components,
    stack: true,
    empty: "no such pods",
    w: 12,
    h: 8,
  }),
  series({
    title: "Energy per hour",
    description: "Energy of each whole hour, by component, ended pods included (noether_energy_joules:increase1h).",
    unit: units.kwh,
    queries: [
      {
        expr: `(${chosen((level, where) => `sum by (component) (sum_over_time(${level}:noether_energy_joules:increase1h{${where}}[1h]))`)}) / 3.6e6`,
        legend: "{{component}}",
      },
    ],
    colours: colours.components,
    bars: true,
    interval: "1h",
    empty: "no whole hour yet",
    w: 12,
    h: 8,
  }),
  series({
    title: "Power by namespace",
    description: "The ten of the chosen namespaces that drew most over the range (namespace:noether_power_watts:rate5m).",
    unit: units.watt,
    points: 300,
    queries: [{ expr: largest(10, "namespace", namespacePower, energy("namespace", spaces)), legend: "{{namespace}}" }],
    stack: true,
    empty: "no pods by name",
    w: 12,
    h: 8,
  }),
  series({
    title: "Power by workload",
    description: "The ten of the chosen workloads that drew most over the range (workload:noether_power_watts:rate5m).",
    unit: units.watt,
    points: 300,
    queries: [{ expr: largest(10, "namespace, workload", workloadPower, energy("workload", `${spaces}, workload=~"$workload"`)), legend: "{{namespace}}/{{workload}}" }],
    stack: true,
    empty: "no owners of pods are known",
    w: 12,
    h: 8,
  }),
];

// A pod has no label workload. Where All are chosen, every pod fits; else those whose owner is chosen, or was in the range.
const owned = (at = "") => `group by (cluster, namespace, pod) (last_over_time(pod:noether_workload:owner1h{${spaces}, workload=~"$workload"}[$__range] @ end()) or pod:noether_workload:owner{${spaces}, workload=~"$workload"}${at})`;
const ofChosen = (expr: (where: string) => string, at = "") =>
  `(${expr(`${spaces}, workload=~"$workload"`)} or ${expr(spaces)} and on (cluster, namespace, pod) ${owned(at)})`;
const podSum = (quantity: string, more = "", at = "") =>
  ofChosen((where) => `sum by (cluster, namespace, pod) (sum_over_time(pod:${quantity}:$sums{${where}${more}}[$__range]${at}))`, at);
const podPower = ofChosen((where) => `sum by (cluster, namespace, pod) (pod:noether_power_watts:rate5m{${where}})`);
const podEnergy = podSum("noether_energy_joules", "", " @ end()");
/** The pods with most energy of the range, whatever the column or line is. */
const top = (count: number, expr: string) => `sum by (namespace, pod) (${expr}) and on (namespace, pod) topk(${count}, sum by (namespace, pod) (${podEnergy}))`;

/** The power of those: over time, whose they are need not be asked again at each step. */
const lines = (count: number) =>
  `sum by (namespace, pod) (pod:noether_power_watts:rate5m{${spaces}}) and on (namespace, pod) topk(${count}, sum by (namespace, pod) (${podEnergy}))`;

const pods: Placed[] = [
  sheet({
    title: "Top pods",
    description:
      "The 25 pods with most energy over the range, ended ones included: those draw nothing now (pod:noether_energy_joules, noether_emissions_grams and noether_cost_dollars, :increase or :increase1h).",
    unit: units.kwh,
    queries: [
      { expr: `topk(25, sum by (namespace, pod) (${podSum("noether_energy_joules")})) / 3.6e6` },
      { expr: top(25, podSum("noether_emissions_grams")) },
      { expr: top(25, podSum("noether_cost_dollars", ', cost="energy"')) },
      { expr: top(25, podPower) },
    ],
    columns: [
      { field: "namespace", title: "Namespace", width: 95 },
      { field: "pod", title: "Pod" },
      { field: "Value #A", title: "Energy", unit: units.kwh, decimals: 2, width: 125, bar: colours.energy },
      { field: "Value #B", title: "CO2eq", unit: units.gram, decimals: 2, width: 85 },
      { field: "Value #C", title: "Cost", unit: units.dollar, decimals: 3, width: 75 },
      { field: "Value #D", title: "Power now", unit: units.watt, decimals: 1, width: 90 },
    ],
    sort: "Energy",
    empty: "no such pods then",
    w: 14,
    h: 11,
  }),
  series({
    title: "Power of the top pods",
    description: "The ten of the chosen pods that drew most over the range (pod:noether_power_watts:rate5m).",
    unit: units.watt,
    points: 300,
    queries: [{ expr: lines(10), legend: "{{pod}}" }],
    empty: "no such pods",
    w: 10,
    h: 11,
  }),
  states({
    title: "Pods there and gone",
    description: "When the fifteen pods with most energy were there: coloured while they had power (pod:noether_power_watts:rate5m). A gap is a pod that ended, or came anew under its name.",
    unit: units.watt,
    points: 300,
    queries: [{ expr: lines(15), legend: "{{pod}}" }],
    thresholds: [
      { value: null, color: "light-blue" },
      { value: 1, color: "green" },
      { value: 10, color: "yellow" },
      { value: 50, color: "orange" },
      { value: 200, color: "red" },
    ],
    empty: "no such pods",
    w: 14,
    h: 11,
  }),
  sheet({
    title: "Restarted containers",
    description: "Containers of the chosen namespaces that ran under more than one id in the last day, and how many (noether_container_info). Their energy goes on under the same labels.",
    unit: units.count,
    plain: true,
    queries: [
      { expr: `topk(20, count by (namespace, pod, container) (group by (namespace, pod, container, container_id) (last_over_time(noether_container_info{${spaces}, pod!=""}[1d]))) > 1)` },
    ],
    columns: [
      { field: "namespace", title: "Namespace" },
      { field: "pod", title: "Pod" },
      { field: "container", title: "Container" },
      { field: "Value", title: "Ids", width: 70 },
    ],
    sort: "Ids",
    empty: "no container restarted in the last day",
    w: 10,
    h: 9,
  }),
];

const used = [
  { value: null, color: "green" },
  { value: 0.8, color: "orange" },
  { value: 1, color: "red" },
];
const carriers = "{{namespace}} {{workload}}{{pod}} ({{period}})";

const budgets: Placed[] = [
  bars({
    title: "Energy budgets",
    description: "What is used of the ten energy budgets nearest to their end, PUE included (budget:noether_energy_joules:used_ratio).",
    unit: units.ratio,
    queries: [{ expr: `sort_desc(topk(10, budget:noether_energy_joules:used_ratio{${spaces}, namespace!="", workload=~"$workload|"}))`, legend: carriers }],
    thresholds: used,
    max: 1,
    decimals: 0,
    empty: "no energy budget here",
    w: 8,
    h: 7,
  }),
  bars({
    title: "Carbon budgets",
    description: "What is used of the ten carbon budgets nearest to their end (budget:noether_emissions_grams:used_ratio).",
    unit: units.ratio,
    queries: [{ expr: `sort_desc(topk(10, budget:noether_emissions_grams:used_ratio{${spaces}, namespace!="", workload=~"$workload|"}))`, legend: carriers }],
    thresholds: used,
    max: 1,
    decimals: 0,
    empty: "no carbon budget here",
    w: 8,
    h: 7,
  }),
  series({
    title: "Burn rate",
    description: "How many times as fast as it would last an energy budget is used, over an hour (budget:noether_energy_joules:burn_rate1h). At 1 it just lasts its day or month.",
    unit: units.ratio,
    queries: [{ expr: `topk(10, budget:noether_energy_joules:burn_rate1h{${spaces}, namespace!="", workload=~"$workload|"})`, legend: carriers }],
    empty: "no budget of a day or month",
    w: 8,
    h: 7,
  }),
];

export const workload: Board = {
  uid: "noether-workload",
  title: "Noether / Namespaces, workloads, pods",
  description: "Power, energy, CO2eq, cost and budgets of namespaces, workloads and pods, ended ones included.",
  variables: [variables.datasource(), variables.cluster(), variables.namespace(), variables.workload(), variables.sums()],
  sections: [{ panels: head }, { title: "Over time", panels: course }, { title: "Pods", panels: pods }, { title: "Budgets", panels: budgets }],
};
