// Legends as the options say.

/** The options of a legend with Grafana's defaults. */
export function legendOf({ legend = {} }) {
  return { displayMode: 'list', placement: 'bottom', calcs: [], ...legend, showLegend: (legend.showLegend ?? true) && legend.displayMode !== 'hidden' };
}
