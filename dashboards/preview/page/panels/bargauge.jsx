// Values as bars.
import { getDisplayValueAlignmentFactors } from '@grafana/data';
import { BarGauge, useTheme2 } from '@grafana/ui';
import { Repeated, useValues } from './values.jsx';

export function Bars(props) {
  const { options, width, height } = props;
  const theme = useTheme2();
  const values = useValues(props);
  const render = ({ value: { display, field, view, colIndex }, width: own, height: ownHeight, alignmentFactors, orientation, count }) => (
    <BarGauge
      value={count === 1 ? { ...display, title: undefined } : display}
      width={own}
      height={ownHeight}
      orientation={orientation}
      field={field}
      text={options.text}
      display={view?.getFieldDisplayProcessor(colIndex)}
      theme={theme}
      itemSpacing={8}
      displayMode={options.displayMode ?? 'gradient'}
      alignmentFactors={alignmentFactors}
      showUnfilled={options.showUnfilled ?? true}
      valueDisplayMode={options.valueMode ?? 'color'}
      namePlacement={options.namePlacement ?? 'auto'}
    />
  );
  return (
    <Repeated
      values={values}
      render={render}
      width={width}
      height={height}
      options={options}
      minVizWidth={options.minVizWidth ?? 8}
      minVizHeight={options.minVizHeight ?? 16}
      maxVizHeight={options.maxVizHeight ?? 300}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
    />
  );
}
