// Batch jobs: which job, user, account and partition used what; and one job in detail. Whose a job is may be unknown: then its
// number stands alone.
import type { Board } from "../shared/board.ts";
import * as colours from "../shared/colours.ts";
import { bars, figure, series, sheet, spark, type Placed } from "../shared/panels.ts";
import { board, energy, here, largest } from "../shared/queries.ts";
import * as units from "../shared/units.ts";
import * as variables from "../shared/variables.ts";

const none = "no jobs on these nodes";
const jobs = `${here}, job_id=~"$job"`;
const overRange = (level: string, quantity: string, more = "") => `sum_over_time(${level}:${quantity}:$sums{${here}${more}}[$__range])`;
const ofJobs = (quantity: string, more = "") => `sum by (cluster, scheduler, job_id) (sum_over_time(job:${quantity}:$sums{${jobs}${more}}[$__range]))`;

const head: Placed[] = [
  spark({
    title: "Power now",
    description: "What the chosen jobs draw on all their nodes (job:noether_power_watts:rate5m).",
    unit: units.watt,
    queries: [{ expr: `sum(job:noether_power_watts:rate5m{${jobs}})` }],
    color: colours.energy,
    empty: none,
    w: 5,
    h: 4,
  }),
  figure({
    title: "Energy",
    description: "Energy of the chosen jobs over the range, ended ones included (job:noether_energy_joules:increase, beyond six hours :increase1h in whole hours).",
    unit: units.kwh,
    queries: [{ expr: `sum(${ofJobs("noether_energy_joules")}) / 3.6e6` }],
    color: colours.energy,
    decimals: 2,
    empty: none,
    w: 5,
    h: 4,
  }),
  figure({
    title: "CO2eq",
    description: "Their emissions over the range, PUE included (job:noether_emissions_grams:increase or :increase1h).",
    unit: units.gram,
    queries: [{ expr: `sum(${ofJobs("noether_emissions_grams")})` }],
    color: colours.carbon,
    decimals: 2,
    empty: "no jobs, or no grid zone",
    w: 5,
    h: 4,
  }),
  figure({
    title: "Energy cost",
    description: "The price of their energy over the range, PUE included (job:noether_cost_dollars:increase or :increase1h).",
    unit: units.dollar,
    queries: [{ expr: `sum(${ofJobs("noether_cost_dollars", ', cost="energy"')})` }],
    color: colours.cost,
    decimals: 2,
    empty: "no jobs, or no price",
    w: 5,
    h: 4,
  }),
  figure({
    title: "Jobs now",
    description: "Jobs that have power now (job:noether_power_watts:rate5m).",
    unit: units.count,
    plain: true,
    queries: [{ expr: `count(sum by (cluster, scheduler, job_id) (job:noether_power_watts:rate5m{${jobs}}))` }],
    color: "text",
    empty: none,
    w: 4,
    h: 4,
  }),
];

const jobPower = `job:noether_power_watts:rate5m{${jobs}}`;
const names = "cluster, scheduler, job_id, user_id, user, account, partition, job_name";
/** What is known of each job now or was known in the range, one series for each: one that knows the user, where there is one. */
const known = (more = "") => {
  const all = (whose: string) =>
    `group by (${names}) (last_over_time(job:noether_job_info:selected1h{${jobs}${more}${whose}}[$__range]) or job:noether_job_info:selected{${jobs}${more}${whose}})`;
  return `group by (${names}) (topk by (cluster, scheduler, job_id) (1, ${all(', user!=""')} + 1 or ${all("")}))`;
};
const named = (expr: string) =>
  `${expr} * on (cluster, scheduler, job_id) group_left (user_id, user, account, partition, job_name) ${known()} or on (cluster, scheduler, job_id) ${expr}`;
const best = `topk(25, ${ofJobs("noether_energy_joules")})`;
const amongBest = (expr: string) => `${expr} and on (cluster, scheduler, job_id) ${best}`;
const toJob = [{ title: "Job ${__value.raw} alone", url: board("noether-slurm", "var-job=${__value.raw}") }];

const list: Placed[] = [
  sheet({
    title: "Jobs",
    description:
      "The 25 jobs with most energy over the range, ended ones included (job:…:increase or :increase1h), with what is known of them (noether_job_info): where only a number is, nobody told the exporter more.",
    unit: units.kwh,
    queries: [
      { expr: `topk(25, ${named(`(${ofJobs("noether_energy_joules")} / 3.6e6)`)})` },
      { expr: amongBest(ofJobs("noether_emissions_grams")) },
      { expr: amongBest(ofJobs("noether_cost_dollars", ', cost="energy"')) },
      { expr: amongBest(`sum by (cluster, scheduler, job_id) (${jobPower})`) },
    ],
    columns: [
      { field: "job_id", title: "Job", width: 100, links: toJob },
      { field: "job_name", title: "Name" },
      { field: "user", title: "User" },
      { field: "user_id", title: "User id", width: 90 },
      { field: "account", title: "Account" },
      { field: "partition", title: "Partition" },
      { field: "Value #A", title: "Energy", unit: units.kwh, decimals: 2, bar: colours.energy },
      { field: "Value #B", title: "CO2eq", unit: units.gram, decimals: 2 },
      { field: "Value #C", title: "Cost", unit: units.dollar, decimals: 3 },
      { field: "Value #D", title: "Power now", unit: units.watt, decimals: 1 },
    ],
    sort: "Energy",
    empty: none,
    w: 24,
    h: 10,
  }),
  series({
    title: "Power by job",
    description: "The ten of the chosen jobs that drew most over the range (job:noether_power_watts:rate5m).",
    unit: units.watt,
    points: 300,
    queries: [{ expr: largest(10, "scheduler, job_id", jobPower, energy("job", jobs)), legend: "{{job_id}}" }],
    stack: true,
    empty: none,
    w: 12,
    h: 7,
  }),
  series({
    title: "Power by user",
    description: "The ten users whose jobs drew most over the range (user:noether_power_watts:rate5m). A number is a user whose name is not known.",
    unit: units.watt,
    points: 300,
    queries: [
      {
        expr: largest(10, "user", `user:noether_power_watts:rate5m{${here}, user=~"$user"}`, energy("user", `${here}, user=~"$user"`)),
        legend: "{{user}}",
      },
    ],
    stack: true,
    empty: "no users of jobs are known",
    w: 12,
    h: 7,
  }),
];

const owners: Placed[] = [
  bars({
    title: "Energy by user",
    description: "The ten users with most energy over the range (user:noether_energy_joules:increase or :increase1h).",
    unit: units.kwh,
    queries: [{ expr: `sort_desc(topk(10, sum by (user) (${overRange("user", "noether_energy_joules", ', user=~"$user"')}) / 3.6e6))`, legend: "{{user}}" }],
    color: colours.energy,
    empty: "no users of jobs are known",
    w: 8,
    h: 7,
  }),
  bars({
    title: "Energy by account",
    description: "The ten accounts with most energy over the range (account:noether_energy_joules:increase or :increase1h).",
    unit: units.kwh,
    queries: [
      { expr: `sort_desc(topk(10, sum by (account) (${overRange("account", "noether_energy_joules", ', account=~"$account"')}) / 3.6e6))`, legend: "{{account}}" },
    ],
    color: colours.energy,
    empty: "no accounts are known",
    w: 8,
    h: 7,
  }),
  bars({
    title: "Energy by partition",
    description: "The ten partitions with most energy of the chosen jobs over the range (job:noether_energy_joules:increase or :increase1h, by the partition in noether_job_info).",
    unit: units.kwh,
    queries: [
      {
        expr: `sort_desc(topk(10, sum by (partition) (${ofJobs("noether_energy_joules")} * on (cluster, scheduler, job_id) group_left (partition) ${known(', partition!=""')}) / 3.6e6))`,
        legend: "{{partition}}",
      },
    ],
    color: colours.energy,
    empty: "no partitions are known",
    w: 8,
    h: 7,
  }),
  bars({
    title: "CO2eq by user",
    description: "The ten users with most emissions over the range, PUE included (user:noether_emissions_grams:increase or :increase1h).",
    unit: units.gram,
    queries: [{ expr: `sort_desc(topk(10, sum by (user) (${overRange("user", "noether_emissions_grams", ', user=~"$user"')})))`, legend: "{{user}}" }],
    color: colours.carbon,
    empty: "no users of jobs are known",
    w: 8,
    h: 7,
  }),
  bars({
    title: "Cost by account",
    description: "The ten accounts with the highest energy cost over the range, PUE included (account:noether_cost_dollars:increase or :increase1h).",
    unit: units.dollar,
    queries: [
      {
        expr: `sort_desc(topk(10, sum by (account) (${overRange("account", "noether_cost_dollars", ', account=~"$account", cost="energy"')})))`,
        legend: "{{account}}",
      },
    ],
    color: colours.cost,
    empty: "no accounts are known",
    w: 8,
    h: 7,
  }),
  bars({
    title: "Budgets",
    description: "What is used of the ten energy budgets of jobs, users and accounts that are nearest to their end (budget:noether_energy_joules:used_ratio).",
    unit: units.ratio,
    queries: [
      {
        expr: `sort_desc(topk(10, budget:noether_energy_joules:used_ratio{${here}, namespace="", unit="", vm=""}))`,
        legend: "{{user}}{{account}}{{job_id}} ({{period}})",
      },
    ],
    thresholds: [
      { value: null, color: "green" },
      { value: 0.8, color: "orange" },
      { value: 1, color: "red" },
    ],
    max: 1,
    decimals: 0,
    empty: "no budget of a job or user",
    w: 8,
    h: 7,
  }),
];

const one: Placed[] = [
  sheet({
    title: "Who and where",
    description: "What is known of the chosen jobs, of at most twenty (noether_job_info), and on which nodes they draw how much (job_node:noether_power_watts:rate5m). Choose one job above.",
    unit: units.watt,
    queries: [
      {
        expr: `topk(20, sum by (cluster, scheduler, job_id, node) (job_node:noether_power_watts:rate5m{${jobs}}) * on (cluster, scheduler, job_id) group_left (user_id, user, account, partition, job_name) ${known()} or on (cluster, scheduler, job_id, node) sum by (cluster, scheduler, job_id, node) (job_node:noether_power_watts:rate5m{${jobs}}))`,
      },
    ],
    columns: [
      { field: "job_id", title: "Job", width: 100 },
      { field: "node", title: "Node" },
      { field: "job_name", title: "Name" },
      { field: "user", title: "User" },
      { field: "account", title: "Account" },
      { field: "partition", title: "Partition" },
      { field: "Value", title: "Power", unit: units.watt, decimals: 1 },
    ],
    sort: "Power",
    empty: "no chosen job runs now",
    w: 12,
    h: 7,
  }),
  series({
    title: "Chosen jobs by component",
    description: "What the chosen jobs draw in processors, memory and accelerators (job:noether_power_watts:rate5m).",
    unit: units.watt,
    queries: [{ expr: `sum by (component) (${jobPower})`, legend: "{{component}}" }],
    colours: colours.components,
    stack: true,
    empty: none,
    w: 12,
    h: 7,
  }),
  series({
    title: "Chosen jobs by node",
    description: "What the chosen jobs draw on their ten largest nodes (job_node:noether_power_watts:rate5m).",
    unit: units.watt,
    queries: [
      {
        expr: largest(10, "node", `job_node:noether_power_watts:rate5m{${jobs}}`, `avg_over_time(job_node:noether_power_watts:rate5m{${jobs}}[$__range] @ end())`),
        legend: "{{node}}",
      },
    ],
    stack: true,
    links: [{ title: "Node ${__field.labels.node}", url: board("noether-node", "var-node=${__field.labels.node}") }],
    empty: none,
    w: 12,
    h: 7,
  }),
  series({
    title: "Energy per hour",
    description: "Energy of the chosen jobs in each whole hour, by component (job:noether_energy_joules:increase1h).",
    unit: units.kwh,
    queries: [{ expr: `sum by (component) (sum_over_time(job:noether_energy_joules:increase1h{${jobs}}[1h])) / 3.6e6`, legend: "{{component}}" }],
    colours: colours.components,
    bars: true,
    interval: "1h",
    empty: "no whole hour of a job yet",
    w: 12,
    h: 7,
  }),
];

export const slurm: Board = {
  uid: "noether-slurm",
  title: "Noether / Slurm",
  description: "Batch jobs of Slurm and OAR: by job, user, account and partition; one job in detail.",
  variables: [variables.datasource(), variables.cluster(), variables.user(), variables.account(), variables.job(), variables.sums()],
  sections: [{ panels: head }, { title: "Jobs", panels: list }, { title: "Users, accounts, partitions", panels: owners }, { title: "One job", panels: one }],
};
