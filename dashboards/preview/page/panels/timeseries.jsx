// Lines, areas and bars over time.
import { useMemo } from 'react';
import { TimeSeries, TooltipPlugin } from '@grafana/ui';
import { applyNullInsertThreshold } from 'grafana-ui-internal/graveyard/GraphNG/nullInsertThreshold';
import { legendOf } from './legend.jsx';

export function TimeSeriesPanel({ frames, options, width, height, timeRange }) {
  const graphable = useMemo(() => graphableOf(frames, timeRange), [frames, timeRange]);
  if (graphable.length === 0) throw new Error('no frame with a time and a number');
  return (
    <TimeSeries frames={graphable} structureRev={1} timeRange={timeRange} timeZone="utc" width={width} height={height} legend={legendOf(options)} options={options}>
      {(config, alignedFrame) => <TooltipPlugin data={alignedFrame} frames={graphable} config={config} mode={options.tooltip?.mode ?? 'multi'} sortOrder={options.tooltip?.sort} timeZone="utc" />}
    </TimeSeries>
  );
}

// Prometheus leaves out what is not there: a gap wider than the step becomes nulls, so that no line is drawn across it.
function graphableOf(frames, { from, to }) {
  return frames
    .filter(({ fields }) => fields.some(({ type }) => type === 'time') && fields.some(({ type }) => type === 'number'))
    .map((frame) => applyNullInsertThreshold({ frame, refFieldPseudoMin: from.valueOf(), refFieldPseudoMax: to.valueOf() }));
}
