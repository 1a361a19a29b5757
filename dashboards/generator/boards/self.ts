// Noether itself: whether the exporters run, keep their pace, can read their sources, and what they cost.
import type { Board } from "../shared/board.ts";
import * as colours from "../shared/colours.ts";
import { figure, series, sheet, spark, states, type Placed } from "../shared/panels.ts";
import { there } from "../shared/queries.ts";
import * as units from "../shared/units.ts";
import * as variables from "../shared/variables.ts";
import { upDown } from "./node.ts";

const exporters = `noether_build_info{${there}}`;
const targets = 'job=~".*noether.*"';
const busiest = (count: number, expr: string, rank: string) => `${expr} and on (instance) topk(${count}, ${rank})`;

const head: Placed[] = [
  figure({
    title: "Exporters",
    description: "Exporters that were scraped just now (noether_build_info).",
    unit: units.count,
    plain: true,
    queries: [{ expr: `count(${exporters})` }],
    color: "green",
    empty: "no exporter is scraped",
    w: 4,
    h: 4,
  }),
  figure({
    title: "Down",
    description: "Targets whose job has noether in its name, and that could not be scraped (up).",
    unit: units.count,
    plain: true,
    queries: [{ expr: `count(up{${targets}} == 0) or vector(0)` }],
    thresholds: [
      { value: null, color: "green" },
      { value: 1, color: "red" },
    ],
    w: 4,
    h: 4,
  }),
  spark({
    title: "Own power",
    description: "What the exporters are charged with themselves: pods, units and containers named noether (container: and unit:noether_power_watts:rate5m).",
    unit: units.watt,
    queries: [
      {
        expr: `sum(container:noether_power_watts:rate5m{${there}, pod=~".*noether.*"} or container:noether_power_watts:rate5m{${there}, pod="", container=~".*noether.*"} or unit:noether_power_watts:rate5m{${there}, unit=~".*noether.*"})`,
      },
    ],
    color: colours.energy,
    decimals: 2,
    empty: "it has no name of its own",
    w: 4,
    h: 4,
  }),
  spark({
    title: "CPU",
    description: "The mean part of one processor that an exporter uses (process_cpu_seconds_total).",
    unit: units.ratio,
    queries: [{ expr: `avg(rate(process_cpu_seconds_total{${there}}[$__rate_interval]) and on (job, instance) ${exporters})` }],
    color: colours.components["cpu"],
    decimals: 2,
    empty: "no exporter is scraped",
    w: 4,
    h: 4,
  }),
  spark({
    title: "Memory",
    description: "The largest resident memory of an exporter (process_resident_memory_bytes).",
    unit: units.bytes,
    plain: true,
    queries: [{ expr: `max(process_resident_memory_bytes{${there}} and on (job, instance) ${exporters})` }],
    color: colours.components["dram"],
    empty: "no exporter is scraped",
    w: 4,
    h: 4,
  }),
  spark({
    title: "Series",
    description: "Samples of all exporters at one scrape (scrape_samples_scraped).",
    unit: units.count,
    plain: true,
    queries: [{ expr: `sum(scrape_samples_scraped{${targets}})` }],
    color: "text",
    empty: "no exporter is scraped",
    w: 4,
    h: 4,
  }),
];

const pace: Placed[] = [
  series({
    title: "Ticks by stage",
    description: "The mean time of a tick's stages over all exporters: reading, accounting, publishing (noether_tick_duration_seconds).",
    unit: units.seconds,
    plain: true,
    queries: [
      {
        expr: `sum by (stage) (rate(noether_tick_duration_seconds_sum{${there}}[$__rate_interval])) / sum by (stage) (rate(noether_tick_duration_seconds_count{${there}}[$__rate_interval]))`,
        legend: "{{stage}}",
      },
    ],
    stack: true,
    empty: "no exporter is scraped",
    w: 8,
    h: 8,
  }),
  series({
    title: "Slowest ticks",
    description: "The 99th percentile of each stage's time over all exporters, as far as the buckets tell (noether_tick_duration_seconds).",
    unit: units.seconds,
    plain: true,
    queries: [
      { expr: `histogram_quantile(0.99, sum by (stage, le) (rate(noether_tick_duration_seconds_bucket{${there}}[$__rate_interval])))`, legend: "{{stage}}" },
    ],
    empty: "no exporter is scraped",
    w: 8,
    h: 8,
  }),
  series({
    title: "Ticks left out",
    description: "Ticks per second that were left out because the one before was late, of the ten worst exporters (noether_ticks_missed_total). No energy is lost with them.",
    unit: units.perSecond,
    plain: true,
    queries: [{ expr: `topk(10, sum by (instance) (rate(noether_ticks_missed_total{${there}}[$__rate_interval])) > 0)`, legend: "{{instance}}" }],
    empty: "no tick was left out",
    w: 8,
    h: 8,
  }),
];

const sources: Placed[] = [
  states({
    title: "Sources of usage and names",
    description: "Whether each source could be read at the last tick, on the worst exporter (noether_source_up).",
    unit: units.count,
    plain: true,
    queries: [{ expr: `min by (source) (noether_source_up{${there}})`, legend: "{{source}}" }],
    mappings: [upDown()],
    thresholds: [
      { value: null, color: "red" },
      { value: 1, color: "green" },
    ],
    empty: "no source was found",
    w: 8,
    h: 8,
  }),
  series({
    title: "Reading a source",
    description: "The mean time that reading each source takes (noether_source_read_seconds).",
    unit: units.seconds,
    plain: true,
    queries: [
      {
        expr: `topk(20, sum by (source) (rate(noether_source_read_seconds_sum{${there}}[$__rate_interval])) / sum by (source) (rate(noether_source_read_seconds_count{${there}}[$__rate_interval])))`,
        legend: "{{source}}",
      },
    ],
    empty: "no source was found",
    w: 8,
    h: 8,
  }),
  series({
    title: "Errors by source",
    description: "Readings of sources and meters that failed, per quarter of an hour, and why (noether_source_errors_total, noether_meter_errors_total).",
    unit: units.count,
    plain: true,
    queries: [
      { expr: `topk(15, sum by (source, reason) (increase(noether_source_errors_total{${there}}[15m])) > 0)`, legend: "{{source}}: {{reason}}" },
      { expr: `topk(15, sum by (meter, reason) (increase(noether_meter_errors_total{${there}}[15m])) > 0)`, legend: "{{meter}}: {{reason}}" },
    ],
    bars: true,
    interval: "15m",
    empty: "nothing failed",
    w: 8,
    h: 8,
  }),
];

const cost: Placed[] = [
  series({
    title: "CPU by exporter",
    description: "The part of one processor that each of the ten busiest exporters uses (process_cpu_seconds_total).",
    unit: units.ratio,
    queries: [
      {
        expr: busiest(
          10,
          `max by (instance) (rate(process_cpu_seconds_total{${there}}[$__rate_interval]) and on (job, instance) ${exporters})`,
          `max by (instance) (rate(process_cpu_seconds_total{${there}}[1h] @ end()) and on (job, instance) noether_build_info{${there}} @ end())`,
        ),
        legend: "{{instance}}",
      },
    ],
    empty: "no exporter is scraped",
    w: 8,
    h: 8,
  }),
  series({
    title: "Time of a scrape",
    description: "How long Prometheus took to fetch each of the ten largest exporters (scrape_duration_seconds).",
    unit: units.seconds,
    plain: true,
    queries: [
      {
        expr: busiest(10, `max by (instance) (scrape_duration_seconds{${targets}})`, `max by (instance) (scrape_samples_scraped{${targets}} @ end())`),
        legend: "{{instance}}",
      },
    ],
    empty: "no exporter is scraped",
    w: 8,
    h: 8,
  }),
  series({
    title: "Series by exporter",
    description: "Samples in a scrape of each of the ten largest exporters (scrape_samples_scraped).",
    unit: units.count,
    plain: true,
    queries: [
      {
        expr: busiest(10, `max by (instance) (scrape_samples_scraped{${targets}})`, `max by (instance) (scrape_samples_scraped{${targets}} @ end())`),
        legend: "{{instance}}",
      },
    ],
    empty: "no exporter is scraped",
    w: 8,
    h: 8,
  }),
  series({
    title: "Requests by answer",
    description: "HTTP requests per second to all exporters, by status (noether_http_requests_total).",
    unit: units.perSecond,
    plain: true,
    queries: [{ expr: `topk(15, sum by (code) (rate(noether_http_requests_total{${there}}[$__rate_interval])))`, legend: "{{code}}" }],
    empty: "no exporter is scraped",
    w: 8,
    h: 8,
  }),
  series({
    title: "Workloads folded",
    description: "Workloads of the last hour beyond --workload.max, which went into container=\"_folded\" (noether_workloads_folded_total).",
    unit: units.count,
    plain: true,
    queries: [{ expr: `topk(10, sum by (instance) (increase(noether_workloads_folded_total{${there}}[1h])) > 0)`, legend: "{{instance}}" }],
    empty: "all workloads have series",
    w: 8,
    h: 8,
  }),
  series({
    title: "Energy retired",
    description: "Final values of series that are no longer shown, since each exporter started (noether_retired_energy_joules): kept, so that the parts add up to the node.",
    unit: units.joule,
    queries: [{ expr: `sum by (component) (max by (cluster, node, component) (noether_retired_energy_joules{${there}}))`, legend: "{{component}}" }],
    colours: colours.components,
    empty: "nothing is retired yet",
    w: 8,
    h: 8,
  }),
];

const which: Placed[] = [
  sheet({
    title: "Versions",
    description: "Each exporter's version, and how long ago it ticked last, of at most fifty (noether_build_info, noether_last_tick_timestamp_seconds).",
    unit: units.seconds,
    plain: true,
    queries: [{ expr: `topk(50, max by (node, instance, version) (${exporters}))` }, { expr: `time() - max by (node, instance) (noether_last_tick_timestamp_seconds{${there}})` }, { expr: `time() - max by (node, instance) (process_start_time_seconds{${there}} and on (job, instance) ${exporters})` }],
    columns: [
      { field: "node", title: "Node" },
      { field: "instance", title: "Exporter" },
      { field: "version", title: "Version" },
      { field: "Value #B", title: "Last tick", unit: units.seconds, decimals: 0 },
      { field: "Value #C", title: "Runs since", unit: units.seconds, decimals: 0 },
    ],
    empty: "no exporter is scraped",
    w: 24,
    h: 8,
  }),
];

export const self: Board = {
  uid: "noether-self",
  title: "Noether / Itself",
  description: "The exporters themselves: ticks, errors by source, their own energy, series, and what a scrape costs.",
  variables: [variables.datasource(), variables.cluster(), variables.exporter()],
  from: "now-6h",
  sections: [{ panels: head }, { title: "Pace", panels: pace }, { title: "Sources", panels: sources }, { title: "Cost", panels: cost }, { title: "Versions", panels: which }],
};
