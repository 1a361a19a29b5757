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

/**
 * Which recorded sums a range takes: `increase` (each evaluation, exact) up to six hours, `increase1h` (whole hours, sixty times
 * fewer samples) beyond. Prometheus itself answers it, from the range of the board, so nobody has to choose.
 */
export const sums = () => {
  const query = 'query_result(label_replace(vector($__range_s) <= 21600, "sums", "increase", "", "") or on () label_replace(vector($__range_s), "sums", "increase1h", "", ""))';
  return new dashboard.QueryVariableBuilder("sums")
    .hide(dashboard.VariableHide.HideVariable)
    .description("increase up to six hours, increase1h beyond")
    .datasource(source)
    .query({ qryType: 3, query, refId: "variable-sums" })
    .definition(query)
    .regex('/sums="([^"]+)"/')
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    .current({ selected: true, text: "increase1h", value: "increase1h" });
};
