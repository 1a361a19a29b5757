// Values on a dial.
import { Gauge, useTheme2 } from '@grafana/ui';
import { Repeated, useValues } from './values.jsx';

export function Dial(props) {
  const { options, width, height } = props;
  const theme = useTheme2();
  const values = useValues(props);
  const render = ({ value: { display, field }, width: own, height: ownHeight, orientation }) => (
    <Gauge
      value={values.length === 1 ? { ...display, title: undefined } : display}
      field={field}
      width={own}
      height={ownHeight}
      text={options.text}
      showThresholdLabels={options.showThresholdLabels ?? false}
      showThresholdMarkers={options.showThresholdMarkers ?? true}
      orientation={orientation}
      theme={theme}
    />
  );
  return <Repeated values={values} render={render} width={width} height={height} options={options} autoGrid minVizWidth={options.minVizWidth ?? 75} minVizHeight={options.minVizHeight ?? 75} />;
}
