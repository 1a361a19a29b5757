// What must hold of every board: checked whenever they are made.
import type * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import { plain } from "./shared/board.ts";
import { energetic } from "./shared/units.ts";

type Panel = dashboard.Panel;

/** About as many letters as fit over a panel of one column at 1440 pixels. */
const LETTERS = 6.2;

export function faults(boards: dashboard.Dashboard[]): string[] {
  return boards.flatMap((board) => {
    const panels = (board.panels ?? []) as Panel[];
    return [...ofBoard(board), ...panels.flatMap((panel) => ofPanel(board, panel)), ...overlaps(board, panels)];
  });
}

function ofBoard(board: dashboard.Dashboard): string[] {
  const out: string[] = [];
  const version = board.schemaVersion ?? 0;
  if (version < 39 || version > 41) out.push(`${board.uid}: schemaVersion ${version} is not 39 to 41`);
  if (!board.uid?.startsWith("noether-")) out.push(`${board.uid}: the uid does not begin with noether-`);
  if (!board.tags?.includes("noether")) out.push(`${board.uid}: without the tag noether, others do not link to it`);
  const ids = (board.panels ?? []).map((panel) => (panel as Panel).id);
  if (new Set(ids).size !== ids.length) out.push(`${board.uid}: panels share an id`);
  return out;
}

function ofPanel(board: dashboard.Dashboard, panel: Panel): string[] {
  if ((panel.type as string) === "row") return [];
  const out: string[] = [];
  const say = (what: string) => out.push(`${board.uid}, "${panel.title}": ${what}`);
  const width = panel.gridPos?.w ?? 0;
  if (!panel.description) say("no description");
  if (!panel.title) say("no title");
  if ((panel.title?.length ?? 0) > width * LETTERS) say(`a title of ${panel.title?.length} letters is too long for ${width} columns`);
  if (panel.type === "text") return out;
  const unit = panel.fieldConfig?.defaults.unit ?? "";
  const declared = plain.has(`${board.uid} ${panel.id}`);
  if (!energetic.has(unit) && !declared) say(`unit ${unit} is none of energy, mass, money or ratio`);
  if (energetic.has(unit) && declared) say(`unit ${unit} needs no \`plain\``);
  const names = new Set((board.templating?.list ?? []).map((variable) => variable.name));
  for (const target of (panel.targets ?? []) as { expr?: string; refId?: string }[]) {
    if (!target.expr?.trim()) say(`target ${target.refId} asks nothing`);
    for (const [, name] of (target.expr ?? "").matchAll(/\$\{?(\w+)/g)) {
      if (!name!.startsWith("__") && !names.has(name!)) say(`there is no variable $${name}`);
    }
  }
  if (!panel.targets?.length) say("no target");
  return out;
}

function overlaps(board: dashboard.Dashboard, panels: Panel[]): string[] {
  const out: string[] = [];
  panels.forEach((panel, index) => {
    const a = panel.gridPos!;
    if (a.x + a.w > 24) out.push(`${board.uid}, "${panel.title}": beyond the 24 columns`);
    for (const other of panels.slice(index + 1)) {
      const b = other.gridPos!;
      if (a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h) out.push(`${board.uid}: "${panel.title}" and "${other.title}" overlap`);
    }
  });
  return out;
}
