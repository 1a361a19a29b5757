// One colour for each thing, the same on every board. Grafana's names follow its theme, dark or light.
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";

export const components: Record<string, string> = { cpu: "blue", dram: "purple", gpu: "green", other: "orange" };

export const modes: Record<string, string> = {
  active: "orange",
  idle: "light-blue",
  "charged, active": "orange",
  "charged, idle": "light-blue",
  nobody: "#9e9e9e",
  "everything else": "#5c5c5c",
  modelled: "red",
};

export const energy = "dark-yellow";
export const carbon = "green";
export const cost = "blue";

/** Overrides that give series of these names these colours. */
export function byName(colours: Record<string, string>): { matcher: dashboard.MatcherConfig; properties: dashboard.DynamicConfigValue[] }[] {
  return Object.entries(colours).map(([name, fixedColor]) => ({
    matcher: { id: "byName", options: name },
    properties: [{ id: "color", value: { mode: "fixed", fixedColor } }],
  }));
}
