// Categories as bars, grouped or stacked, upright or lying. Grafana's panel of this name is no published package: axes, scales
// and chart are Grafana's, the bars are drawn here.
import { useMemo } from 'react';
import { FieldType, dateTimeFormat, formattedValueToString, getFieldDisplayName } from '@grafana/data';
import { AxisPlacement, ScaleDirection, ScaleOrientation } from '@grafana/schema';
import { UPlotChart, UPlotConfigBuilder, VizLayout, VizLegend, measureText, useTheme2 } from '@grafana/ui';
import { legendOf } from './legend.jsx';

export function BarChart({ frames, options, width, height }) {
  const theme = useTheme2();
  const table = useMemo(() => tableOf(frames, options), [frames, options]);
  const legend = legendOf(options);
  const items = table.series.map(({ name, color }) => ({ label: name, color, yAxis: 1, getItemKey: () => name, getDisplayValues: () => [] }));
  const shown = legend.showLegend && <VizLayout.Legend placement={legend.placement}><VizLegend items={items} placement={legend.placement} displayMode={legend.displayMode} /></VizLayout.Legend>;
  return (
    <VizLayout width={width} height={height} legend={shown || null}>
      {(w, h) => <Chart table={table} options={options} width={w} height={h} theme={theme} />}
    </VizLayout>
  );
}

function Chart({ table, options, width, height, theme }) {
  const config = useMemo(() => chartOf(table, options, width, height, theme), [table, options, width, height, theme]);
  return <UPlotChart config={config} data={[table.labels.map((_, index) => index), ...table.series.map(({ values }) => values)]} width={width} height={height} />;
}

// The first field of strings (or of time, or the one that is asked for) names the bars; each number is a series.
function tableOf(frames, { xField, colorByField }) {
  const [frame] = frames;
  if (frames.length > 1) throw new Error(`${frames.length} frames in one bar chart: join or reduce them with a transformation`);
  const named = (field) => getFieldDisplayName(field, frame, frames);
  const x = xField
    ? frame.fields.find((field) => field.name === xField || named(field) === xField)
    : (frame.fields.find(({ type }) => type === FieldType.string) ?? frame.fields.find(({ type }) => type === FieldType.time));
  if (!x) throw new Error(xField ? `no field ${xField}` : 'no field of strings or of time to name the bars');
  const colours = colorByField && frame.fields.find((field) => field.name === colorByField || named(field) === colorByField);
  const numbers = frame.fields.filter((field) => field !== x && field.type === FieldType.number && !field.config.custom?.hideFrom?.viz);
  if (numbers.length === 0) throw new Error('no field of numbers');
  return {
    labels: x.values.map((value) => (x.type === FieldType.time ? dateTimeFormat(value, { format: 'MM-DD HH:mm', timeZone: 'utc' }) : formattedValueToString(x.display(value)))),
    series: numbers.map((field) => ({
      name: named(field),
      field,
      values: [...field.values],
      color: field.display(field.values.find((value) => value !== null) ?? 0).color,
      colours: field.values.map((value, index) => (colours ? colours.display(colours.values[index]).color : field.display(value ?? 0).color)),
    })),
  };
}

function chartOf({ labels, series }, options, width, height, theme) {
  const { stacking = 'none', showValue = 'auto', groupWidth = 0.7, barWidth = 0.97, xTickLabelRotation = 0, xTickLabelMaxLength } = options;
  const orientation = options.orientation && options.orientation !== 'auto' ? options.orientation : width < 2 * height && labels.length > 6 ? 'horizontal' : 'vertical';
  const lying = orientation === 'horizontal';
  const [{ field }] = series;
  const { custom = {} } = field.config;
  const format = (value, decimals) => formattedValueToString(field.display(value, decimals));
  const totals = labels.map((_, index) => series.reduce((sum, { values }) => sum + Math.max(0, values[index] ?? 0), 0));
  const highest = stacking === 'percent' ? 1 : Math.max(0, ...(stacking === 'normal' ? totals : series.flatMap(({ values }) => values.map((value) => value ?? 0))));
  const lowest = stacking === 'none' ? Math.min(0, ...series.flatMap(({ values }) => values.map((value) => value ?? 0))) : 0;
  const cut = (text) => (xTickLabelMaxLength && text.length > xTickLabelMaxLength ? `${text.slice(0, xTickLabelMaxLength)}…` : text);

  const builder = new UPlotConfigBuilder('utc');
  builder.addScale({
    scaleKey: 'x',
    orientation: lying ? ScaleOrientation.Vertical : ScaleOrientation.Horizontal,
    direction: lying ? ScaleDirection.Down : ScaleDirection.Right,
    range: () => [-0.5, labels.length - 0.5],
  });
  builder.addScale({
    scaleKey: 'y',
    orientation: lying ? ScaleOrientation.Horizontal : ScaleOrientation.Vertical,
    direction: lying ? ScaleDirection.Right : ScaleDirection.Up,
    distribution: custom.scaleDistribution?.type,
    log: custom.scaleDistribution?.log,
    min: field.config.min ?? (lowest === 0 && custom.scaleDistribution?.type !== 'log' ? 0 : undefined),
    max: field.config.max,
    // Room for the figures beyond the bars.
    softMax: custom.axisSoftMax ?? (custom.scaleDistribution?.type === 'log' ? undefined : highest * (showValue === 'never' || lying ? 1 : 1.1)),
    softMin: custom.axisSoftMin,
  });
  const names = labels.map(cut);
  const widest = Math.max(0, ...names.map((name) => measureText(name, 12).width));
  const radians = (Math.abs(xTickLabelRotation) * Math.PI) / 180;
  builder.addAxis({
    scaleKey: 'x',
    placement: lying ? AxisPlacement.Left : AxisPlacement.Bottom,
    theme,
    splits: labels.map((_, index) => index),
    values: names,
    grid: { show: false },
    ticks: { show: false },
    tickLabelRotation: lying ? 0 : -xTickLabelRotation,
    size: lying ? widest + 16 : xTickLabelRotation ? Math.sin(radians) * widest + 24 : undefined,
  });
  builder.addAxis({ scaleKey: 'y', placement: custom.axisPlacement === 'hidden' ? AxisPlacement.Hidden : lying ? AxisPlacement.Bottom : AxisPlacement.Left, theme, label: custom.axisLabel || undefined, formatValue: format, grid: { show: custom.axisGridShow } });
  for (const { color } of series) {
    builder.addSeries({ scaleKey: 'y', theme, show: true, pathBuilder: () => null, pointsBuilder: () => undefined, showPoints: 'never', lineColor: color, colorMode: { id: 'fixed' } });
  }

  const widestFigure = Math.max(0, ...series.flatMap(({ field: own, values }) => values.map((value) => measureText(formattedValueToString(own.display(value)), 12).width)));
  if (lying && stacking === 'none' && showValue !== 'never') builder.setPadding([0, widestFigure + 8, 0, 0]);
  builder.addHook('draw', (u) => {
    const { ctx } = u;
    ctx.save();
    ctx.font = `${(options.text?.valueSize ?? 12) * devicePixelRatio}px ${theme.typography.fontFamily}`;
    const zero = custom.scaleDistribution?.type === 'log' ? u.scales.y.min : 0;
    const cell = Math.abs(u.valToPos(1, 'x', true) - u.valToPos(0, 'x', true)) || (lying ? u.bbox.height : u.bbox.width);
    const group = cell * groupWidth;
    const thick = (stacking === 'none' ? group / series.length : group) * barWidth;
    labels.forEach((_, index) => {
      const middle = u.valToPos(index, 'x', true);
      let base = 0;
      series.forEach(({ field: own, values, colours }, place) => {
        let value = values[index];
        if (value === null || value === undefined) return;
        const text = formattedValueToString(own.display(value));
        if (stacking === 'percent') value /= totals[index] || 1;
        const from = stacking === 'none' ? zero : base;
        const to = stacking === 'none' ? value : base + value;
        base = to;
        const across = stacking === 'none' ? middle - group / 2 + (group / series.length) * (place + 0.5) : middle;
        const [start, end] = [u.valToPos(from, 'y', true), u.valToPos(to, 'y', true)];
        const box = lying
          ? { x: Math.min(start, end), y: across - thick / 2, w: Math.abs(end - start), h: thick }
          : { x: across - thick / 2, y: Math.min(start, end), w: thick, h: Math.abs(end - start) };
        ctx.globalAlpha = (own.config.custom?.fillOpacity ?? 80) / 100;
        ctx.fillStyle = colours[index];
        ctx.fillRect(box.x, box.y, box.w, box.h);
        ctx.globalAlpha = 1;
        ctx.strokeStyle = colours[index];
        ctx.lineWidth = (own.config.custom?.lineWidth ?? 1) * devicePixelRatio;
        if (ctx.lineWidth > 0 && own.config.custom?.lineWidth !== 0) ctx.strokeRect(box.x, box.y, box.w, box.h);
        figure(ctx, text, box, { lying, stacked: stacking !== 'none', showValue, theme });
      });
    });
    ctx.restore();
  });
  builder.setPrepData((data) => data);
  return builder;
}

function figure(ctx, text, box, { lying, stacked, showValue, theme }) {
  if (showValue === 'never') return;
  const wide = ctx.measureText(text).width;
  const tall = 12 * devicePixelRatio;
  const gap = 4 * devicePixelRatio;
  const room = stacked ? wide + gap < box.w && tall + gap < box.h : lying ? tall < box.h : wide < box.w * 1.3;
  if (showValue === 'auto' && !room) return;
  ctx.fillStyle = stacked ? theme.colors.getContrastText(ctx.fillStyle) : theme.colors.text.primary;
  ctx.textBaseline = 'middle';
  ctx.textAlign = lying && !stacked ? 'left' : 'center';
  if (stacked) ctx.fillText(text, box.x + box.w / 2, box.y + box.h / 2);
  else if (lying) ctx.fillText(text, box.x + box.w + gap, box.y + box.h / 2);
  else ctx.fillText(text, box.x + box.w / 2, box.y - gap - tall / 2);
}
