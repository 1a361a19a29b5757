// What stat, gauge, bar gauge and pie chart share: the single values that frames are reduced to.
import { useMemo } from 'react';
import { getFieldDisplayValues } from '@grafana/data';
import { VizRepeater, useTheme2 } from '@grafana/ui';

/** The values of a panel, reduced as its options say. */
export function useValues({ frames, fieldConfig, options, replace }, { sparkline = false } = {}) {
  const theme = useTheme2();
  return useMemo(
    () =>
      getFieldDisplayValues({
        fieldConfig,
        reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false, ...options.reduceOptions },
        replaceVariables: replace,
        theme,
        data: frames,
        sparkline,
        timeZone: 'utc',
        percentChange: options.showPercentChange,
      }),
    [frames, fieldConfig, options, replace, theme, sparkline],
  );
}

/** Grafana's repeater around them. */
export function Repeated({ values, render, width, height, options, ...more }) {
  return (
    <VizRepeater
      getValues={() => values}
      renderValue={render}
      width={width}
      height={height}
      source={values}
      renderCounter={0}
      orientation={options.orientation ?? 'auto'}
      itemSpacing={8}
      {...more}
    />
  );
}
