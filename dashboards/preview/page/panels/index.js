// What draws which type of panel.
import { BarChart } from './barchart.jsx';
import { Bars } from './bargauge.jsx';
import { Dial } from './gauge.jsx';
import { PieChart } from './piechart.jsx';
import { Stat } from './stat.jsx';
import { StateTimeline } from './statetimeline.jsx';
import { TableOfFrame } from './table.jsx';
import { TextPanel } from './text.jsx';
import { TimeSeriesPanel } from './timeseries.jsx';

export const VISUALISATIONS = {
  barchart: BarChart,
  bargauge: Bars,
  gauge: Dial,
  piechart: PieChart,
  stat: Stat,
  'state-timeline': StateTimeline,
  table: TableOfFrame,
  text: TextPanel,
  timeseries: TimeSeriesPanel,
};
