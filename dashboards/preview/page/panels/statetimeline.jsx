// States over time as coloured bands, one line for each field. Grafana's panel of this name is no published package: axes and
// chart are Grafana's, the bands are drawn here.
import { useMemo } from 'react';
import { FieldType, formattedValueToString, getFieldDisplayName } from '@grafana/data';
import { AxisPlacement, ScaleDirection, ScaleOrientation } from '@grafana/schema';
import { UPlotChart, UPlotConfigBuilder, VizLayout, VizLegend, measureText, useTheme2 } from '@grafana/ui';
import { legendOf } from './legend.jsx';

export function StateTimeline({ frames, options, width, height, timeRange }) {
  const theme = useTheme2();
  const lines = useMemo(() => linesOf(frames, options, timeRange), [frames, options, timeRange]);
  const legend = legendOf(options);
  const items = statesOf(lines, theme).map(([label, color]) => ({ label, color, yAxis: 1, getItemKey: () => label, getDisplayValues: () => [] }));
  const shown = legend.showLegend && <VizLayout.Legend placement={legend.placement}><VizLegend items={items} placement={legend.placement} displayMode="list" /></VizLayout.Legend>;
  const config = useMemo(() => chartOf(lines, options, timeRange, theme), [lines, options, timeRange, theme]);
  const data = [[timeRange.from.valueOf(), timeRange.to.valueOf()], [0, lines.length]];
  return (
    <VizLayout width={width} height={height} legend={shown || null}>
      {(w, h) => <UPlotChart config={config} data={data} width={w} height={h} />}
    </VizLayout>
  );
}

function linesOf(frames, { mergeValues = true }, { to }) {
  const lines = [];
  for (const frame of frames) {
    const times = frame.fields.find(({ type }) => type === FieldType.time)?.values;
    if (!times) continue;
    for (const field of frame.fields) {
      if (field.type === FieldType.time || field.config.custom?.hideFrom?.viz) continue;
      const step = field.config.interval ?? frame.fields.find(({ type }) => type === FieldType.time).config.interval ?? 0;
      const bands = [];
      times.forEach((time, index) => {
        const value = field.values[index];
        const last = bands.at(-1);
        // What was not there at the next step has ended.
        const end = Math.min(times[index + 1] ?? time + step, step ? time + step * 1.5 : Infinity, to.valueOf());
        if (value === null || value === undefined) return;
        const display = field.display(value);
        const text = byThreshold(field) && mergeValues ? bucketOf(field, value) : formattedValueToString(display);
        if (last && last.text === text && last.color === display.color && mergeValues && last.to >= time) last.to = end;
        else bands.push({ from: time, to: end, text, color: display.color });
      });
      lines.push({ field, name: getFieldDisplayName(field, frame, frames), bands, opacity: (field.config.custom?.fillOpacity ?? 70) / 100 });
    }
  }
  return lines;
}

const byThreshold = ({ type, config: { color, thresholds, mappings } }) => type === FieldType.number && color?.mode === 'thresholds' && thresholds?.mode === 'absolute' && !mappings?.length;

// What lies between two thresholds is one state.
function bucketOf(field, value) {
  const { steps } = field.config.thresholds;
  const index = steps.findLastIndex((step) => value >= step.value);
  const shown = (step) => formattedValueToString(field.display(step.value));
  if (steps.length < 2) return '';
  return index <= 0 ? `< ${shown(steps[1])}` : `${shown(steps[index])}+`;
}

// The legend: mapped states as they occur, thresholds all of them.
function statesOf(lines, theme) {
  const thresholds = lines.filter(({ field }) => byThreshold(field));
  const occurring = lines.filter(({ field }) => !byThreshold(field)).flatMap(({ bands }) => bands.map(({ text, color }) => [text, color]));
  const steps = thresholds.slice(0, 1).flatMap(({ field }) =>
    field.config.thresholds.steps.map((step) => [bucketOf(field, step.value), theme.visualization.getColorByName(step.color)]),
  );
  return [...new Map([...steps, ...occurring]).entries()];
}

function chartOf(lines, { showValue = 'auto', rowHeight = 0.9, alignValue = 'left' }, timeRange, theme) {
  const builder = new UPlotConfigBuilder('utc');
  const names = lines.map(({ name }) => name);
  builder.addScale({
    scaleKey: 'x',
    isTime: true,
    orientation: ScaleOrientation.Horizontal,
    direction: ScaleDirection.Right,
    range: () => [timeRange.from.valueOf(), timeRange.to.valueOf()],
  });
  builder.addScale({ scaleKey: 'y', orientation: ScaleOrientation.Vertical, direction: ScaleDirection.Down, range: () => [0, lines.length] });
  builder.addAxis({ scaleKey: 'x', isTime: true, placement: AxisPlacement.Bottom, timeZone: 'utc', theme });
  builder.addAxis({
    scaleKey: 'y',
    placement: AxisPlacement.Left,
    theme,
    splits: names.map((_, index) => index + 0.5),
    values: names,
    grid: { show: false },
    ticks: { show: false },
    size: 16 + Math.max(0, ...names.map((name) => measureText(name, 12).width)),
  });
  builder.addSeries({ scaleKey: 'y', theme, show: true, pathBuilder: () => null, pointsBuilder: () => undefined, showPoints: 'never', lineColor: 'transparent', colorMode: { id: 'fixed' } });
  builder.addHook('draw', (u) => {
    const { ctx } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    ctx.textBaseline = 'middle';
    ctx.textAlign = alignValue;
    ctx.font = `${12 * devicePixelRatio}px ${theme.typography.fontFamily}`;
    lines.forEach(({ bands, opacity }, index) => {
      const [above, below] = [u.valToPos(index, 'y', true), u.valToPos(index + 1, 'y', true)];
      const tall = Math.abs(below - above) * rowHeight;
      const top = (above + below) / 2 - tall / 2;
      for (const { from, to, text, color } of bands) {
        const left = u.valToPos(from, 'x', true);
        const wide = u.valToPos(to, 'x', true) - left;
        ctx.globalAlpha = opacity;
        ctx.fillStyle = color;
        ctx.fillRect(left, top, Math.max(wide, devicePixelRatio), tall);
        ctx.globalAlpha = 1;
        const room = ctx.measureText(text).width + 8 * devicePixelRatio <= wide;
        if (showValue === 'never' || (showValue === 'auto' && !room)) continue;
        ctx.fillStyle = theme.colors.text.primary;
        const place = alignValue === 'center' ? left + wide / 2 : alignValue === 'right' ? left + wide - 4 * devicePixelRatio : left + 4 * devicePixelRatio;
        ctx.fillText(text, place, top + tall / 2);
      }
    });
    ctx.restore();
  });
  builder.setPrepData((data) => data);
  return builder;
}
