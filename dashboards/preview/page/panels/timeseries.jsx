// Lines, areas and bars over time.
import { TimeSeries, TooltipPlugin } from '@grafana/ui';
import { legendOf } from './legend.jsx';

export function TimeSeriesPanel({ frames, options, width, height, timeRange }) {
  const graphable = frames.filter((frame) => frame.fields.some(({ type }) => type === 'time') && frame.fields.some(({ type }) => type === 'number'));
  if (graphable.length === 0) throw new Error('no frame with a time and a number');
  return (
    <TimeSeries frames={graphable} structureRev={1} timeRange={timeRange} timeZone="utc" width={width} height={height} legend={legendOf(options)} options={options}>
      {(config, alignedFrame) => <TooltipPlugin data={alignedFrame} frames={graphable} config={config} mode={options.tooltip?.mode ?? 'multi'} sortOrder={options.tooltip?.sort} timeZone="utc" />}
    </TimeSeries>
  );
}
