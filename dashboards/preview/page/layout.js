// Where each panel lies: Grafana's grid of 24 columns, with rows opened and repeated panels laid out.
export const COLUMNS = 24;
export const CELL_HEIGHT = 30;
export const GAP = 8;

/**
 * A flat list of `{kind: 'row' | 'panel', panel, x, y, w, h, scoped}`. Rows that are saved collapsed are opened, so that what
 * is in them is looked at too, unless their id is in `closed`.
 */
export function layOut(panels, variables, closed = new Set()) {
  const items = [];
  let lowered = 0;
  for (const section of sections(panels)) {
    for (const { scoped, suffix } of repeats(section.row, variables)) {
      const isClosed = section.row && closed.has(section.row.id);
      const top = section.top + lowered;
      let y = top;
      if (section.row) items.push({ kind: 'row', key: `row-${section.row.id}${suffix}`, panel: section.row, x: 0, y, w: COLUMNS, h: 1, scoped, isClosed });
      if (section.row) y += 1;
      const laid = isClosed ? [] : layOutSection(section.panels, variables, scoped, suffix, section.inner, y);
      items.push(...laid);
      const bottom = Math.max(y, ...laid.map((item) => item.y + item.h));
      // What comes after moves by what this section takes more, or less, than it was drawn with.
      lowered = bottom - section.bottom;
      if (suffix !== '') section.top = section.bottom;
      section.top = section.bottom;
    }
  }
  return items;
}

// A dashboard's panels by row; what stands above the first row has none. Collapsed rows hold their panels themselves.
function sections(panels) {
  const result = [];
  const sorted = [...panels].sort((a, b) => a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x);
  for (const panel of sorted) {
    if (panel.type === 'row') {
      const inside = panel.collapsed ? panel.panels ?? [] : [];
      result.push({ row: panel, panels: [...inside], top: panel.gridPos.y, collapsed: Boolean(panel.collapsed) });
    } else {
      if (result.length === 0 || result.at(-1).collapsed) result.push({ row: null, panels: [], top: panel.gridPos.y });
      result.at(-1).panels.push(panel);
    }
  }
  for (const section of result) {
    const head = section.row ? section.top + 1 : section.top;
    section.inner = section.collapsed ? Math.min(...section.panels.map(({ gridPos }) => gridPos.y), Infinity) : head;
    if (!Number.isFinite(section.inner)) section.inner = head;
    section.bottom = section.collapsed ? head : Math.max(head, ...section.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  }
  return result;
}

function layOutSection(panels, variables, scoped, suffix, inner, top) {
  const items = [];
  // Panels that repeat take more lines than they were drawn with; those that begin below them move down.
  const lowered = [];
  for (const panel of panels) {
    const { x, y, w, h } = panel.gridPos;
    const down = lowered.filter(({ below }) => y >= below).reduce((sum, { by }) => sum + by, 0);
    const base = top + (y - inner) + down;
    const all = repeats(panel, variables, scoped);
    if (!panel.repeat) {
      items.push({ kind: 'panel', key: `${panel.id}${suffix}`, panel, x, y: base, w, h, scoped });
      continue;
    }
    const vertical = panel.repeatDirection === 'v';
    const perLine = vertical ? 1 : Math.min(panel.maxPerRow ?? 4, Math.max(all.length, 1));
    const width = vertical ? w : Math.floor(COLUMNS / perLine);
    all.forEach((repeat, index) => {
      items.push({
        kind: 'panel',
        key: `${panel.id}${suffix}${repeat.suffix}`,
        panel,
        x: vertical ? x : (index % perLine) * width,
        y: base + Math.floor(index / perLine) * h,
        w: width,
        h,
        scoped: repeat.scoped,
      });
    });
    const lines = Math.ceil(all.length / perLine);
    if (lines > 1) lowered.push({ below: y + h, by: (lines - 1) * h });
  }
  return items;
}

function repeats(panel, variables, scoped = {}) {
  const variable = panel?.repeat && variables[panel.repeat];
  if (panel?.repeat && !variable) throw new Error(`${panel.title}: repeats by ${panel.repeat}, which is no variable`);
  if (!variable) return [{ scoped, suffix: '' }];
  const values = variable.all ? variable.options.map(({ value }) => value) : [].concat(variable.value);
  return values.map((value) => {
    const text = variable.options.find((option) => option.value === value)?.text ?? value;
    return { scoped: { ...scoped, [variable.name]: { value, text } }, suffix: `-${variable.name}=${value}` };
  });
}
