// Large single values, with a sparkline where the options ask for one.
import { getDisplayValueAlignmentFactors } from '@grafana/data';
import { BigValue, useTheme2 } from '@grafana/ui';
import { Repeated, useValues } from './values.jsx';

export function Stat(props) {
  const { options, width, height, fieldConfig } = props;
  const theme = useTheme2();
  const graphMode = options.graphMode ?? 'area';
  const values = useValues(props, { sparkline: graphMode !== 'none' });
  const render = ({ value: { display, sparkline }, width: own, height: ownHeight, alignmentFactors, count }) => (
    <BigValue
      value={display}
      count={count}
      sparkline={sparkline && { ...sparkline, timeRange: props.timeRange }}
      colorMode={options.colorMode ?? 'value'}
      graphMode={graphMode}
      justifyMode={options.justifyMode ?? 'auto'}
      textMode={textMode(options, values, fieldConfig)}
      alignmentFactors={alignmentFactors}
      text={options.text}
      percentChangeColorMode={options.percentChangeColorMode}
      disableWideLayout={options.wideLayout === false}
      width={own}
      height={ownHeight}
      theme={theme}
    />
  );
  return (
    <Repeated
      values={values}
      render={render}
      width={width}
      height={height}
      options={options}
      autoGrid
      getAlignmentFactors={getDisplayValueAlignmentFactors}
    />
  );
}

// One value needs no name: the panel's title says what it is.
function textMode({ textMode: mode = 'auto' }, values) {
  if (mode !== 'auto') return mode;
  return values.length === 1 ? 'value' : 'auto';
}
