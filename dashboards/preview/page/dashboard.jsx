// A dashboard: its variables and links above, its panels on the grid.
import { useMemo, useState } from 'react';
import { Dropdown, Icon, Input, LinkButton, Menu, MultiSelect, Select, ToolbarButton, useTheme2 } from '@grafana/ui';
import { CELL_HEIGHT, COLUMNS, GAP, layOut } from './layout.js';
import { interpolator } from './interpolation.js';
import { Panel } from './panel.jsx';

const RANGES = ['now-1h', 'now-6h', 'now-24h', 'now-2d', 'now-7d', 'now-14d', 'now-30d'];

export function Dashboard({ dashboard, dashboards, variables, range, now, width, navigate, settle }) {
  const { colors, spacing } = useTheme2();
  const [closed, setClosed] = useState(() => new Set());
  const items = useMemo(() => layOut(dashboard.panels, variables, closed), [dashboard, variables, closed]);
  const replace = useMemo(() => interpolator(variables), [variables]);
  const column = (width - GAP * (COLUMNS - 1)) / COLUMNS;
  const rows = Math.max(0, ...items.map(({ y, h }) => y + h));
  const toggle = (id) => setClosed((before) => (before.has(id) ? new Set([...before].filter((one) => one !== id)) : new Set([...before, id])));

  return (
    <main style={{ width, margin: '0 auto', padding: '0 0 16px' }}>
      <header style={{ display: 'flex', gap: 8, alignItems: 'center', padding: spacing(1.5, 0), flexWrap: 'wrap' }}>
        <h1 style={{ fontSize: 18, fontWeight: 500, margin: 0, flexGrow: 1 }}>{dashboard.title}</h1>
        {dashboardLinks(dashboard, dashboards, replace).map(({ title, url, icon, among }) =>
          among ? (
            <Dropdown key={title} overlay={<Menu>{among.map((one) => <Menu.Item key={one.url} label={one.title} url={one.url} />)}</Menu>}>
              <ToolbarButton icon="bars" isOpen={false} variant="canvas">{title}</ToolbarButton>
            </Dropdown>
          ) : (
            <LinkButton key={title} href={url} size="sm" variant="secondary" icon={icon}>
              {title}
            </LinkButton>
          ),
        )}
      </header>
      <div style={{ display: 'flex', gap: 8, flexWrap: 'wrap', paddingBottom: 12 }}>
        {Object.values(variables)
          .filter((variable) => variable.type && variable.hide !== 2)
          .map((variable) => (
            <Choice key={variable.name} variable={variable} choose={(value) => navigate({ [`var-${variable.name}`]: value })} />
          ))}
        <div style={{ marginLeft: 'auto', display: 'flex', alignItems: 'center' }}>
          <Select
            width={20}
            aria-label="time range"
            options={[...new Set([range.raw.from, ...RANGES])].map((value) => ({ value, label: `${value.replace('now-', 'Last ')}` }))}
            value={range.raw.from}
            onChange={({ value }) => navigate({ from: value, to: 'now' })}
          />
        </div>
      </div>
      <div style={{ position: 'relative', height: rows * (CELL_HEIGHT + GAP) - GAP }} data-grid>
        {items.map((item) => {
          const box = {
            left: item.x * (column + GAP),
            top: item.y * (CELL_HEIGHT + GAP),
            width: item.w * column + (item.w - 1) * GAP,
            height: item.h * CELL_HEIGHT + (item.h - 1) * GAP,
          };
          const place = { position: 'absolute', ...box };
          if (item.kind === 'row') {
            return (
              <button
                key={item.key}
                type="button"
                onClick={() => toggle(item.panel.id)}
                style={{ ...place, display: 'flex', alignItems: 'center', gap: 6, border: 0, background: 'none', color: colors.text.primary, fontSize: 16, fontWeight: 500, padding: 0, textAlign: 'left' }}
              >
                <Icon name={item.isClosed ? 'angle-right' : 'angle-down'} />
                {replace(item.panel.title, item.scoped)}
              </button>
            );
          }
          return (
            <div key={item.key} style={place} data-panel={item.key}>
              <Panel item={item} width={box.width} height={box.height} variables={variables} range={range} now={now} settle={settle} />
            </div>
          );
        })}
      </div>
    </main>
  );
}

function Choice({ variable, choose }) {
  const { name, label, type, multi, includeAll, options, value, all } = variable;
  const { colors, components, shape } = useTheme2();
  const choices = [...(includeAll ? [{ label: 'All', value: '$__all' }] : []), ...options.map((option) => ({ label: option.text, value: option.value }))];
  const chosen = all ? ['$__all'] : [].concat(value);
  return (
    <div style={{ display: 'flex' }}>
      {variable.hide !== 1 && (
        <label
          htmlFor={`choice-${name}`}
          style={{ display: 'flex', alignItems: 'center', height: 32, margin: 0, padding: '0 8px', fontSize: 12, fontWeight: 500, background: colors.background.primary, border: `1px solid ${components.input.borderColor}`, borderRight: 0, borderRadius: `${shape.radius.default} 0 0 ${shape.radius.default}` }}
        >
          {label}
        </label>
      )}
      {type === 'textbox' ? (
        <Input id={`choice-${name}`} width={16} defaultValue={value} onBlur={(event) => choose(event.currentTarget.value)} />
      ) : multi ? (
        <MultiSelect inputId={`choice-${name}`} width="auto" options={choices} value={chosen} closeMenuOnSelect={false} onChange={(many) => choose(latest(many))} />
      ) : (
        <Select inputId={`choice-${name}`} width="auto" options={choices} value={chosen[0]} onChange={(one) => choose(one.value)} />
      )}
    </div>
  );
}

// All excludes the others, and they it: the later choice wins.
function latest(many) {
  const values = many.map(({ value }) => value);
  if (values.at(-1) === '$__all') return ['$__all'];
  return values.filter((value) => value !== '$__all');
}

function dashboardLinks({ links = [], uid }, dashboards, replace) {
  return links.flatMap(({ type, title, url, tags = [], icon, keepTime, includeVars, asDropdown }) => {
    const query = [keepTime && replace('${__url_time_range}'), includeVars && replace('${__all_variables}')].filter(Boolean).join('&');
    const full = (address) => (query ? `${address}${address.includes('?') ? '&' : '?'}${query}` : address);
    if (type === 'link') return [{ title: replace(title), url: full(replace(url)), icon: icon === 'dashboard' ? 'apps' : 'external-link-alt' }];
    const among = dashboards.filter((one) => tags.every((tag) => one.tags.includes(tag))).map((one) => ({ title: one.title, url: full(`/d/${one.uid}`), icon: 'apps' }));
    return asDropdown ? [{ title: replace(title), among }] : among.filter((one) => !one.url.startsWith(`/d/${uid}`));
  });
}
