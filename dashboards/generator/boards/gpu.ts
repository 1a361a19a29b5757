// GPUs: what each draws, how busy it is, who is charged with it, and which are held and idle.
import type { Board } from "../shared/board.ts";
import * as colours from "../shared/colours.ts";
import { bars, figure, series, sheet, spark, states, type Placed } from "../shared/panels.ts";
import { board, energy, here, largest, spaces, there } from "../shared/queries.ts";
import * as units from "../shared/units.ts";
import * as variables from "../shared/variables.ts";

const none = "no GPU on these nodes";
const each = "max by (cluster, node, gpu)";
const power = `${each} (noether_gpu_power_watts{${there}})`;
// By what the energy of a board is split tells its state: `holder` is held by somebody and used by nobody, `none` is free.
const method = (value: string) => `group by (cluster, node, gpu) (noether_gpu_attribution_info{${there}, method=~"${value}"})`;
const shown = (metric: string, count = 16) =>
  `max by (node, gpu) (${metric}{${there}}) and on (node, gpu) topk(${count}, max by (node, gpu) (noether_gpu_power_watts{${there}} @ end()))`;

const head: Placed[] = [
  spark({
    title: "Power now",
    description: "What all GPUs of the chosen nodes draw (node:noether_power_watts:rate5m, component gpu).",
    unit: units.watt,
    queries: [{ expr: `sum(node:noether_power_watts:rate5m{${there}, component="gpu"})` }],
    color: colours.components["gpu"],
    empty: none,
    w: 6,
    h: 4,
  }),
  figure({
    title: "Energy",
    description: "Energy of the GPUs over the range (node:noether_energy_joules:increase, beyond six hours :increase1h in whole hours).",
    unit: units.kwh,
    queries: [{ expr: `sum(sum_over_time(node:noether_energy_joules:$sums{${there}, component="gpu"}[$__range])) / 3.6e6` }],
    color: colours.components["gpu"],
    decimals: 2,
    empty: none,
    w: 6,
    h: 4,
  }),
  figure({
    title: "Utilisation",
    description: "The mean part of the last five minutes in which anything ran on a GPU (noether_gpu_utilization_ratio). A device in slices does not say.",
    unit: units.ratio,
    queries: [{ expr: `avg(max by (cluster, node, gpu) (avg_over_time(noether_gpu_utilization_ratio{${there}}[5m])))` }],
    color: colours.components["gpu"],
    decimals: 0,
    empty: "no utilisation is known",
    w: 6,
    h: 4,
  }),
  figure({
    title: "Held, but idle",
    description: "What GPUs draw now that somebody holds and nobody uses (noether_gpu_power_watts of devices whose noether_gpu_attribution_info has the method holder).",
    unit: units.watt,
    queries: [{ expr: `sum(${power} and on (cluster, node, gpu) ${method("holder")}) or 0 * sum(${power})` }],
    thresholds: [
      { value: null, color: "green" },
      { value: 1, color: "orange" },
    ],
    decimals: 0,
    empty: none,
    w: 6,
    h: 4,
  }),
];

const devices: Placed[] = [
  series({
    title: "Power by device",
    description: "The sixteen GPUs that draw most now (noether_gpu_power_watts).",
    unit: units.watt,
    queries: [{ expr: shown("noether_gpu_power_watts"), legend: "{{node}} {{gpu}}" }],
    empty: none,
    w: 12,
    h: 8,
  }),
  series({
    title: "Utilisation by device",
    description: "The part of the time in which anything ran on each of these GPUs (noether_gpu_utilization_ratio). High power at low utilisation is clocks kept up for nothing.",
    unit: units.ratio,
    queries: [{ expr: shown("noether_gpu_utilization_ratio"), legend: "{{node}} {{gpu}}" }],
    min: 0,
    max: 1,
    empty: "no utilisation is known",
    w: 12,
    h: 8,
  }),
  sheet({
    title: "Devices",
    description: "Each GPU and MIG instance with its model, and now: power, limit, utilisation, memory in use, and by what its energy is split (noether_gpu_info and its siblings). A MIG instance has its own memory, and its GPU's other figures.",
    unit: units.watt,
    queries: [
      { expr: `topk(50, max by (node, gpu, uuid, model, mig_profile) (noether_gpu_info{${there}}))` },
      { expr: `max by (node, gpu, uuid) (noether_gpu_power_watts{${there}})` },
      { expr: `max by (node, gpu, uuid) (noether_gpu_power_limit_watts{${there}})` },
      { expr: `max by (node, gpu, uuid) (avg_over_time(noether_gpu_utilization_ratio{${there}}[5m]))` },
      { expr: `max by (node, gpu, uuid) (noether_gpu_memory_used_bytes{${there}} / noether_gpu_memory_size_bytes{${there}})` },
      { expr: `max by (node, gpu, uuid, method) (noether_gpu_attribution_info{${there}})` },
    ],
    columns: [
      { field: "node", title: "Node", width: 120 },
      { field: "gpu", title: "GPU", width: 60 },
      { field: "model", title: "Model" },
      { field: "mig_profile", title: "MIG", width: 90 },
      { field: "Value #B", title: "Power", unit: units.watt, decimals: 0, width: 150, bar: "green" },
      { field: "Value #C", title: "Limit", unit: units.watt, decimals: 0, width: 80 },
      { field: "Value #D", title: "Utilisation", unit: units.ratio, decimals: 0, width: 150, bar: "blue" },
      { field: "Value #E", title: "Memory", unit: units.ratio, decimals: 0, width: 85 },
      { field: "method", title: "Split by", width: 120 },
    ],
    sort: "Power",
    empty: none,
    w: 24,
    h: 8,
  }),
];

const gpuOf = (level: string, where: string) => `${level}:noether_power_watts:rate5m{${where}, component="gpu"}`;

const holders: Placed[] = [
  series({
    title: "GPU power by pod",
    description: "The ten pods charged with most GPU energy over the range, as users or holders (container:noether_power_watts:rate5m, component gpu).",
    unit: units.watt,
    points: 300,
    queries: [{ expr: largest(10, "namespace, pod", gpuOf("container", `${there}, namespace=~"$namespace"`), `${energy("pod", `${spaces}, component="gpu"`)} > 0`), legend: "{{namespace}}/{{pod}}" }],
    stack: true,
    links: [{ title: "Pods of ${__field.labels.namespace}", url: board("noether-workload", "var-namespace=${__field.labels.namespace}") }],
    empty: "no pod uses or holds a GPU",
    w: 12,
    h: 8,
  }),
  series({
    title: "GPU power by job",
    description: "The ten jobs charged with most GPU energy over the range (job_node:noether_power_watts:rate5m, component gpu).",
    unit: units.watt,
    points: 300,
    queries: [{ expr: largest(10, "scheduler, job_id", gpuOf("job_node", there), `${energy("job", `${here}, component="gpu"`)} > 0`), legend: "{{scheduler}} {{job_id}}" }],
    stack: true,
    links: [{ title: "Job ${__field.labels.job_id}", url: board("noether-slurm", "var-job=${__field.labels.job_id}") }],
    empty: "no job uses or holds a GPU",
    w: 12,
    h: 8,
  }),
  bars({
    title: "GPU energy by holder",
    description: "GPU energy over the range of the ten pods and ten jobs with most, ended ones included, on all nodes (pod: and job:noether_energy_joules:increase or :increase1h).",
    unit: units.kwh,
    queries: [
      { expr: `sort_desc(topk(10, sum by (namespace, pod) (sum_over_time(pod:noether_energy_joules:$sums{${spaces}, component="gpu"}[$__range])) / 3.6e6 > 0))`, legend: "{{namespace}}/{{pod}}" },
      { expr: `sort_desc(topk(10, sum by (job_id) (sum_over_time(job:noether_energy_joules:$sums{${here}, component="gpu"}[$__range])) / 3.6e6 > 0))`, legend: "job {{job_id}}" },
    ],
    color: colours.components["gpu"],
    empty: "no GPU was used or held",
    w: 12,
    h: 9,
  }),
  series({
    title: "GPU power that is nobody's",
    description: "GPU power that neither user nor holder is charged with (node:noether_unattributed_power_watts:rate5m, component gpu), and what goes to holders of idle devices.",
    unit: units.watt,
    queries: [
      { expr: `sum(node:noether_unattributed_power_watts:rate5m{${there}, component="gpu"})`, legend: "nobody" },
      { expr: `sum(${power} and on (cluster, node, gpu) ${method("holder")}) or 0 * sum(${power})`, legend: "held, but idle" },
    ],
    colours: { nobody: colours.modes["nobody"]!, "held, but idle": "orange" },
    empty: none,
    w: 12,
    h: 9,
  }),
];

const state: Placed[] = [
  states({
    title: "Used, held, free",
    description: "How each of the forty largest GPUs was charged: 2 used, 1 held by somebody and idle, 0 nobody's (noether_gpu_attribution_info).",
    unit: units.count,
    plain: true,
    queries: [
      {
        expr: `topk(40, 2 * max by (node, gpu) (noether_gpu_attribution_info{${there}, method!~"holder|none"}) or max by (node, gpu) (noether_gpu_attribution_info{${there}, method="holder"}) or 0 * max by (node, gpu) (noether_gpu_attribution_info{${there}, method="none"}))`,
        legend: "{{node}} {{gpu}}",
      },
    ],
    mappings: [
      {
        type: "value",
        options: { "0": { text: "free", color: "#8e8e8e", index: 0 }, "1": { text: "held, idle", color: "orange", index: 1 }, "2": { text: "used", color: "green", index: 2 } },
      } as never,
    ],
    empty: none,
    w: 12,
    h: 8,
  }),
  series({
    title: "Temperature",
    description: "Temperature of the sixteen GPUs that draw most now (noether_gpu_temperature_celsius).",
    unit: units.celsius,
    plain: true,
    queries: [{ expr: shown("noether_gpu_temperature_celsius"), legend: "{{node}} {{gpu}}" }],
    empty: none,
    w: 6,
    h: 8,
  }),
  series({
    title: "Clock",
    description: "Clock of the processors of the sixteen GPUs that draw most now (noether_gpu_clock_hertz).",
    unit: units.hertz,
    plain: true,
    queries: [{ expr: shown("noether_gpu_clock_hertz"), legend: "{{node}} {{gpu}}" }],
    empty: none,
    w: 6,
    h: 8,
  }),
];

export const gpu: Board = {
  uid: "noether-gpu",
  title: "Noether / GPU",
  description: "Power, utilisation and memory of GPUs and MIG instances; who uses or holds them, and what idles.",
  variables: [variables.datasource(), variables.cluster(), variables.node(), variables.namespace(), variables.sums()],
  sections: [{ panels: head }, { title: "Devices", panels: devices }, { title: "Who uses and holds them", panels: holders }, { title: "State", panels: state }],
};
