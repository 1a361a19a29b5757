// A node: what its meters see, what of it is idle, and who is charged with the rest.
import type { Board } from "../shared/board.ts";
import * as colours from "../shared/colours.ts";
import { bars, figure, series, sheet, spark, states, type Placed } from "../shared/panels.ts";
import { board, energy, largest, there } from "../shared/queries.ts";
import * as units from "../shared/units.ts";
import * as variables from "../shared/variables.ts";

const overRange = (quantity: string, more = "") => `sum(sum_over_time(node:${quantity}:$sums{${there}${more}}[$__range]))`;

const head: Placed[] = [
  spark({
    title: "Power now",
    description: "What the meters of the chosen nodes see, over five minutes (node:noether_power_watts:rate5m).",
    unit: units.watt,
    queries: [{ expr: `sum(node:noether_power_watts:rate5m{${there}})` }],
    color: colours.energy,
    empty: "no meter is read",
    w: 6,
    h: 4,
  }),
  figure({
    title: "Energy",
    description: "Energy at the meters over the range (node:noether_energy_joules:increase, beyond six hours :increase1h in whole hours).",
    unit: units.kwh,
    queries: [{ expr: `${overRange("noether_energy_joules")} / 3.6e6` }],
    color: colours.energy,
    decimals: 2,
    empty: "nothing recorded",
    w: 6,
    h: 4,
  }),
  figure({
    title: "CO2eq",
    description: "Emissions over the range, PUE included (node:noether_emissions_grams:increase or :increase1h).",
    unit: units.gram,
    queries: [{ expr: overRange("noether_emissions_grams") }],
    color: colours.carbon,
    decimals: 2,
    empty: "no grid zone",
    w: 6,
    h: 4,
  }),
  figure({
    title: "Idle floor",
    description: "What the chosen nodes draw when nothing runs on them, learned or set (noether_node_idle_power_watts).",
    unit: units.watt,
    queries: [{ expr: `sum(max by (cluster, node, component) (noether_node_idle_power_watts{${there}}))` }],
    color: colours.modes["idle"],
    decimals: 1,
    empty: "no floor is known yet",
    w: 6,
    h: 4,
  }),
];

// The parts of a node. Each is there, at 0, where there is none of its kind, so that the last can take them all away.
const containers = `container:noether_power_watts:rate5m{${there}, namespace!=""}`;
const topNamespaces = largest(8, "namespace", containers, energy("container", `${there}, namespace!=""`));
const or0 = (expr: string) => `(${expr} or vector(0))`;
const plain = `sum(container:noether_power_watts:rate5m{${there}, namespace=""})`;
const kinds = {
  "no namespace": plain,
  jobs: `sum(job_node:noether_power_watts:rate5m{${there}})`,
  units: `sum(unit:noether_power_watts:rate5m{${there}})`,
  machines: `sum(vm:noether_power_watts:rate5m{${there}})`,
  nobody: `sum(node:noether_unattributed_power_watts:rate5m{${there}})`,
};
const whole = `sum(node:noether_power_watts:rate5m{${there}})`;
const rest = `clamp_min(${whole} - ${or0(`sum(${topNamespaces})`)} - ${Object.values(kinds).map(or0).join(" - ")}, 0)`;

const charged: Placed[] = [
  series({
    title: "Who is charged",
    description:
      "The power of the chosen nodes by who is charged with it: the eight largest namespaces, other containers, jobs, systemd units, virtual machines, nobody; and what is left, which is other namespaces and what is still held back. Together they are the dashed line, what the meters see (container:, job_node:, unit:, vm:, node:noether_power_watts:rate5m).",
    unit: units.watt,
    points: 200,
    queries: [
      { expr: topNamespaces, legend: "{{namespace}}" },
      ...Object.entries(kinds).map(([legend, expr]) => ({ expr, legend })),
      { expr: rest, legend: "everything else" },
      { expr: whole, legend: "the node" },
    ],
    colours: colours.modes,
    overrides: [
      {
        matcher: { id: "byName", options: "the node" },
        properties: [
          { id: "custom.stacking", value: { mode: "none", group: "B" } },
          { id: "custom.fillOpacity", value: 0 },
          { id: "custom.lineWidth", value: 2 },
          { id: "custom.lineStyle", value: { fill: "dash", dash: [8, 6] } },
          { id: "color", value: { mode: "fixed", fixedColor: "text" } },
        ],
      },
    ],
    stack: true,
    empty: "no meter is read",
    w: 16,
    h: 10,
  }),
  bars({
    title: "Top containers",
    description: "The twelve containers of the chosen nodes that draw most now (container:noether_power_watts:rate5m).",
    unit: units.watt,
    queries: [{ expr: `sort_desc(topk(12, sum by (namespace, pod, container) (container:noether_power_watts:rate5m{${there}})))`, legend: "{{pod}} {{container}}" }],
    color: colours.energy,
    links: [{ title: "Pods of ${__field.labels.namespace}", url: board("noether-workload", "var-namespace=${__field.labels.namespace}") }],
    empty: "no containers",
    w: 8,
    h: 10,
  }),
];

const parts: Placed[] = [
  series({
    title: "Power by component",
    description: "The node's energy, cut into components that do not overlap: processors, memory, accelerators, and what else a whole-node meter sees (node:noether_power_watts:rate5m).",
    unit: units.watt,
    queries: [{ expr: `sum by (component) (node:noether_power_watts:rate5m{${there}})`, legend: "{{component}}" }],
    colours: colours.components,
    stack: true,
    empty: "no meter is read",
    w: 8,
    h: 8,
  }),
  series({
    title: "Power by node",
    description: "The ten of the chosen nodes that drew most over the range (node:noether_power_watts:rate5m).",
    unit: units.watt,
    queries: [{ expr: largest(10, "node", `node:noether_power_watts:rate5m{${there}}`, energy("node", there)), legend: "{{node}}" }],
    empty: "no meter is read",
    w: 8,
    h: 8,
  }),
  series({
    title: "Active and idle",
    description: "Above the idle floor, and the floor itself (node:noether_power_watts:rate5m and node:noether_idle_power_watts:rate5m).",
    unit: units.watt,
    queries: [
      { expr: `clamp_min(${whole} - ${or0(`sum(node:noether_idle_power_watts:rate5m{${there}})`)}, 0)`, legend: "active" },
      { expr: `sum(node:noether_idle_power_watts:rate5m{${there}})`, legend: "idle" },
    ],
    colours: colours.modes,
    stack: true,
    empty: "no meter is read",
    w: 8,
    h: 8,
  }),
  series({
    title: "Power by domain",
    description: "The 25 largest domains of the meters as they are read. Domains overlap: never add them (noether_domain_power_watts).",
    unit: units.watt,
    queries: [{ expr: `topk(25, max by (node, meter, domain) (noether_domain_power_watts{${there}}) and on (node, meter, domain) topk(25, max by (node, meter, domain) (noether_domain_power_watts{${there}} @ end())))`, legend: "{{node}} {{meter}} {{domain}}" }],
    empty: "no meter is read",
    w: 12,
    h: 8,
  }),
  bars({
    title: "Idle floor by node",
    description: "The twelve largest floors, by component (noether_node_idle_power_watts). A floor is absent while it is not known.",
    unit: units.watt,
    queries: [{ expr: `sort_desc(topk(12, max by (node, component) (noether_node_idle_power_watts{${there}})))`, legend: "{{node}} {{component}}" }],
    color: colours.modes["idle"],
    empty: "no floor is known yet",
    w: 12,
    h: 8,
  }),
];

const meters: Placed[] = [
  states({
    title: "Meters",
    description: "Whether each meter could be read (noether_meter_up).",
    unit: units.count,
    plain: true,
    queries: [{ expr: `topk(40, min by (node, meter) (noether_meter_up{${there}}))`, legend: "{{node}} {{meter}}" }],
    mappings: [upDown()],
    thresholds: [
      { value: null, color: "red" },
      { value: 1, color: "green" },
    ],
    empty: "no meter was found",
    w: 12,
    h: 7,
  }),
  sheet({
    title: "What feeds the total",
    description: "Which meter feeds which component, and how good it is: measured, integrated from power, or modelled (noether_meter_info).",
    unit: units.count,
    plain: true,
    queries: [{ expr: `topk(50, max by (node, component, meter, quality) (noether_meter_info{${there}}))` }],
    columns: [
      { field: "node", title: "Node" },
      { field: "component", title: "Component" },
      { field: "meter", title: "Meter" },
      { field: "quality", title: "Quality" },
    ],
    empty: "no meter feeds it",
    w: 12,
    h: 7,
  }),
  series({
    title: "Readings that added nothing",
    description: "Readings of meters that failed or were resets, per quarter of an hour (noether_meter_errors_total).",
    unit: units.count,
    plain: true,
    queries: [{ expr: `topk(20, sum by (node, meter, reason) (increase(noether_meter_errors_total{${there}}[15m])) > 0)`, legend: "{{node}} {{meter}} {{reason}}" }],
    bars: true,
    interval: "15m",
    empty: "all readings were good",
    w: 12,
    h: 6,
  }),
  series({
    title: "Held back",
    description: "Energy that is not shown as anybody's yet, until every scraper has seen its series at 0 or its name is known (noether_pending_energy_joules).",
    unit: units.joule,
    queries: [{ expr: `topk(20, sum by (node) (max by (node, component) (noether_pending_energy_joules{${there}})))`, legend: "{{node}}" }],
    empty: "nothing is held back",
    w: 12,
    h: 6,
  }),
];

export function upDown() {
  return { type: "value", options: { "0": { text: "down", color: "red", index: 0 }, "1": { text: "up", color: "green", index: 1 } } } as never;
}

export const node: Board = {
  uid: "noether-node",
  title: "Noether / Node",
  description: "Domains, components and idle floor of nodes; who is charged with what they draw; their meters.",
  variables: [variables.datasource(), variables.cluster(), variables.node(), variables.sums()],
  sections: [{ panels: head }, { title: "Who is charged", panels: charged }, { title: "What is measured", panels: parts }, { title: "Meters", panels: meters }],
};
