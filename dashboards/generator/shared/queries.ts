// What several boards ask. Recorded series wherever there is a level for it: docs/rules.md.

export const here = 'cluster=~"$cluster"';
export const there = `${here}, node=~"$node"`;
export const spaces = `${here}, namespace=~"$namespace"`;

/** Joules as kilowatt-hours. */
export const kwh = (joules: string) => `${joules} / 3.6e6`;

/**
 * The largest `count` groups of `labels` over the whole range, as lines: chosen once, at its end, so that the panel never has
 * more lines than that.
 */
export const largest = (count: number, labels: string, lines: string, size: string) =>
  `sum by (${labels}) (${lines}) and on (${labels}) topk(${count}, sum by (${labels}) (${size}))`;

/** Watts as a line: recorded power up to a day of range, the mean of each hour beyond; see `lines` in `variables.ts`. */
export const watts = (level: string, where: string) => `avg_over_time(${level}:$watts{${where}}[$span]) / $each`;

/** Energy over the range, asked at its end: by what `largest` chooses. */
export const energy = (level: string, where: string) => `sum_over_time(${level}:noether_energy_joules:$sums{${where}}[$__range] @ end())`;

/**
 * A level with namespaces and workloads: where All workloads are chosen, the namespaces' own series, which hold pods without an
 * owner too (they have no label workload, which only .* fits); else the workloads'.
 */
export const chosen = (ask: (level: "namespace" | "workload", where: string) => string) => {
  const where = `${spaces}, workload=~"$workload"`;
  return `${ask("namespace", where)} or ${ask("workload", where)}`;
};

export const board = (uid: string, variables: string) => `/d/${uid}?\${__url_time_range}&\${datasource:queryparam}&\${cluster:queryparam}&${variables}`;
