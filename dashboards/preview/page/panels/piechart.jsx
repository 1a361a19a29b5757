// Shares of a whole as a pie or a ring.
import { arc, pie } from 'd3';
import { formattedValueToString } from '@grafana/data';
import { VizLayout, VizLegend, useTheme2 } from '@grafana/ui';
import { legendOf } from './legend.jsx';
import { useValues } from './values.jsx';

export function PieChart(props) {
  const { options, width, height } = props;
  const values = useValues(props).filter(({ field, display }) => !field.custom?.hideFrom?.viz && display.numeric > 0);
  if (options.sort !== 'none') values.sort((a, b) => (options.sort === 'asc' ? 1 : -1) * (a.display.numeric - b.display.numeric));
  const total = values.reduce((sum, { display }) => sum + display.numeric, 0);
  const legend = legendOf(options);
  const shown = legend.showLegend && <VizLayout.Legend placement={legend.placement} width={legend.width}><Legend values={values} total={total} legend={legend} /></VizLayout.Legend>;
  return (
    <VizLayout width={width} height={height} legend={shown || null}>
      {(w, h) => <Slices values={values} total={total} width={w} height={h} options={options} />}
    </VizLayout>
  );
}

const percent = (value, total) => `${((100 * value) / total).toFixed(0)}%`;

function Legend({ values, total, legend }) {
  const items = values.map(({ display }, index) => ({
    label: display.title ?? '',
    color: display.color,
    yAxis: 1,
    getItemKey: () => `${display.title}-${index}`,
    getDisplayValues: () => [
      ...(legend.values?.includes('value') ? [{ numeric: display.numeric, text: formattedValueToString(display), title: 'Value' }] : []),
      ...(legend.values?.includes('percent') ? [{ numeric: display.numeric / total, text: percent(display.numeric, total), title: 'Percent' }] : []),
    ],
  }));
  return <VizLegend items={items} placement={legend.placement} displayMode={legend.displayMode} seriesVisibilityChangeBehavior="isolate" />;
}

function Slices({ values, total, width, height, options }) {
  const { colors } = useTheme2();
  const labels = options.displayLabels ?? [];
  const radius = Math.max(0, Math.min(width, height) / 2 - 8);
  const shape = arc().innerRadius(options.pieType === 'donut' ? radius * 0.6 : 0).outerRadius(radius).cornerRadius(2);
  const at = arc().innerRadius(radius * 0.6).outerRadius(radius);
  const slices = pie().sort(null).value(({ display }) => display.numeric)(values);
  return (
    // The legend is measured first, and may for a moment leave nothing.
    <svg width={Math.max(0, width)} height={Math.max(0, height)} role="img">
      <g transform={`translate(${width / 2},${height / 2})`}>
        {slices.map((slice) => {
          const { display } = slice.data;
          const words = [labels.includes('name') && display.title, labels.includes('value') && formattedValueToString(display), labels.includes('percent') && percent(display.numeric, total)].filter(Boolean);
          return (
            <g key={slice.index}>
              <path d={shape(slice)} fill={display.color} stroke={colors.background.primary} strokeWidth={1} />
              {slice.endAngle - slice.startAngle > 0.3 && (
                <text transform={`translate(${at.centroid(slice)})`} textAnchor="middle" dominantBaseline="middle" fontSize={12} fill={colors.getContrastText(display.color)}>
                  {words.join(' ')}
                </text>
              )}
            </g>
          );
        })}
      </g>
    </svg>
  );
}
