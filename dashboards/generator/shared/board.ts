// A board: rows of panels laid out on Grafana's grid, with what all boards have in common.
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import type * as cog from "@grafana/grafana-foundation-sdk/cog";
import type { Placed } from "./panels.ts";

export interface Section {
  /** The heading; none for the first. */
  title?: string;
  panels: Placed[];
}

export interface Board {
  uid: string;
  title: string;
  description: string;
  variables: cog.Builder<dashboard.VariableModel>[];
  sections: Section[];
  /** How far back the board looks at first. */
  from?: string;
}

/** The panels whose unit is a count, a time or bytes, by uid and id: for the checks. */
export const plain = new Set<string>();

const WIDTH = 24;

/** Puts panels from left to right, and a new line where the next does not fit. All of a line are as high as the first. */
function place(sections: Section[], uid: string): dashboard.Panel[] {
  const out: dashboard.Panel[] = [];
  let id = 0;
  let y = 0;
  for (const section of sections) {
    if (section.title !== undefined) {
      const row = new dashboard.RowBuilder(section.title).id(++id).gridPos({ x: 0, y, w: WIDTH, h: 1 }).build();
      out.push(row as unknown as dashboard.Panel);
      y += 1;
    }
    let x = 0;
    let h = 0;
    for (const panel of section.panels) {
      if (x + panel.w > WIDTH) {
        x = 0;
        y += h;
      }
      if (x === 0) h = panel.h;
      const built = panel.builder.build();
      built.id = ++id;
      built.gridPos = { x, y, w: panel.w, h };
      if (panel.plain) plain.add(`${uid} ${id}`);
      out.push(built);
      x += panel.w;
    }
    y += h;
  }
  return out;
}

export function build(board: Board): dashboard.Dashboard {
  const links = new dashboard.DashboardLinkBuilder("Noether")
    .type(dashboard.DashboardLinkType.Dashboards)
    .tags(["noether"])
    .asDropdown(true)
    .includeVars(true)
    .keepTime(true)
    .icon("external link")
    .tooltip("The other boards of Noether");
  const built = new dashboard.DashboardBuilder(board.title)
    .uid(board.uid)
    .description(board.description)
    .tags(["noether"])
    .editable()
    .time({ from: board.from ?? "now-24h", to: "now" })
    .refresh("1m")
    .timezone("browser")
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .links([links])
    .variables(board.variables)
    .build();
  built.id = null as unknown as undefined;
  // 39: what Grafana 10.3 writes. Older ones read it as well, newer ones migrate it.
  built.schemaVersion = 39;
  built.annotations = { list: [] };
  for (const variable of built.templating?.list ?? []) {
    // What is hidden follows from the range: a link to another board must not carry it along.
    if (variable.hide === dashboard.VariableHide.HideVariable) variable.skipUrlSync = true;
  }
  // The SDK would put the links into a menu that only the newest Grafana has.
  for (const link of built.links ?? []) delete link.placement;
  built.panels = place(board.sections, board.uid);
  return built;
}
