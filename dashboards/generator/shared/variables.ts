// The variables of the boards. `All` is `.*`, which fits what has no such label as well: a cluster without a name, a pod without an owner.
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";

export const source = { type: "prometheus", uid: "${datasource}" };

export const datasource = () =>
  new dashboard.DatasourceVariableBuilder("datasource").label("Data source").type("prometheus").description("A Prometheus with Noether's rules");

function labels(name: string, label: string, series: string, description: string) {
  const query = `label_values(${series}, ${name === "job" ? "job_id" : name})`;
  return new dashboard.QueryVariableBuilder(name)
    .label(label)
    .description(description)
    .datasource(source)
    .query({ qryType: 1, query, refId: `variable-${name}` })
    .definition(query)
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    .sort(dashboard.VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue(".*")
    .current({ selected: true, text: ["All"], value: ["$__all"] });
}

export const cluster = () => labels("cluster", "Cluster", "node:noether_power_watts:rate5m", "The label cluster of the scrape configuration; All where there is none");
export const node = () => labels("node", "Node", 'node:noether_power_watts:rate5m{cluster=~"$cluster"}', "Nodes with a meter");
export const exporter = () => labels("node", "Node", 'noether_build_info{cluster=~"$cluster"}', "Nodes with an exporter");
export const namespace = () => labels("namespace", "Namespace", 'namespace:noether_power_watts:rate5m{cluster=~"$cluster"}', "Namespaces with pods");
export const workload = () =>
  labels("workload", "Workload", 'workload:noether_power_watts:rate5m{cluster=~"$cluster", namespace=~"$namespace"}', "Deployments, Jobs and other owners of pods");
export const user = () => labels("user", "User", 'user:noether_power_watts:rate5m{cluster=~"$cluster"}', "Users of jobs; numbers where names are not known");
export const account = () => labels("account", "Account", 'account:noether_power_watts:rate5m{cluster=~"$cluster"}', "Accounts of jobs, as far as they are known");
export const job = () => labels("job", "Job", 'job:noether_power_watts:rate5m{cluster=~"$cluster"}', "Job ids");
export const zone = () => labels("grid_zone", "Grid zone", "grid_zone:noether_carbon_intensity_grams_per_kwh:selected", "Grid zones with a carbon intensity");

/** A hidden variable of two values: one up to some seconds of range, one beyond. Prometheus itself answers it, so nobody has to choose. */
const byRange = (name: string, seconds: number, short: string, long: string, current: string, description: string) => {
  const value = (of: string, word: string) => `label_replace(${of}, "${name}", "${word}", "", "")`;
  const query = `query_result(${value(`vector($__range_s) <= ${seconds}`, short)} or on () ${value("vector($__range_s)", long)})`;
  return new dashboard.QueryVariableBuilder(name)
    .hide(dashboard.VariableHide.HideVariable)
    .description(description)
    .datasource(source)
    .query({ qryType: 3, query, refId: `variable-${name}` })
    .definition(query)
    .regex(`/${name}="([^"]+)"/`)
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    .current({ selected: true, text: current, value: current });
};

/** Which recorded sums a range takes: `increase` (each evaluation, exact) up to six hours, `increase1h` (whole hours, sixty times fewer samples) beyond. */
export const sums = () => byRange("sums", 21600, "increase", "increase1h", "increase1h", "increase up to six hours, increase1h beyond");

/**
 * Which recorded series a line of power takes, for `shared/queries.ts`' `watts`: the power itself up to a day; beyond, the
 * hours' joules. An hour's sum is written up to ten minutes late, so the window that surely has one is longer than the hour.
 */
export const lines = () => [
  byRange("watts", 90000, "noether_power_watts:rate5m", "noether_energy_joules:increase1h", "noether_power_watts:rate5m", "Power up to a day, hourly joules beyond"),
  byRange("span", 90000, "2m", "70m", "2m", "The window that has one sample of them"),
  byRange("each", 90000, "1", "3600", "1", "The seconds that a sample stands for"),
];
