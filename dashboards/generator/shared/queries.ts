// What several boards ask. Recorded series wherever there is a level for it: docs/rules.md.

export const here = 'cluster=~"$cluster"';
export const there = `${here}, node=~"$node"`;
export const spaces = `${here}, namespace=~"$namespace"`;

/** Joules as kilowatt-hours. */
export const kwh = (joules: string) => `${joules} / 3.6e6`;

/** What was added up over the range of the panel. */
export const total = (name: string, where: string, sums = "$sums") => `sum_over_time(${name}:${sums}{${where}}[$__range])`;

/**
 * The largest `count` groups of `labels` over the whole range, as lines: chosen once, at its end, so that the panel never has
 * more lines than that.
 */
export const largest = (count: number, labels: string, lines: string, size: string) =>
  `sum by (${labels}) (${lines}) and on (${labels}) topk(${count}, sum by (${labels}) (${size}))`;

/** The mean over the range, asked at its end. */
export const mean = (selector: string) => `avg_over_time(${selector}[$__range] @ end())`;

/**
 * A level with namespaces and workloads: where All workloads are chosen, the namespaces' own series, which hold pods without an
 * owner too (they have no label workload, which only .* fits); else the workloads'.
 */
export const chosen = (ask: (level: "namespace" | "workload", where: string) => string) => {
  const where = `${spaces}, workload=~"$workload"`;
  return `${ask("namespace", where)} or ${ask("workload", where)}`;
};

export const board = (uid: string, variables: string) => `/d/${uid}?\${__url_time_range}&\${datasource:queryparam}&\${cluster:queryparam}&${variables}`;
