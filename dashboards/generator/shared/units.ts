// The units that panels may have: Grafana's ids, so that it scales and names them.
// Power, energy, mass, money and ratios; what the exporter's own board counts has units of its own, below.
export const watt = "watt";
export const joule = "joule";
export const kwh = "kwatth";
export const gram = "massg";
export const dollar = "currencyUSD";
export const ratio = "percentunit";
export const intensity = "suffix:g/kWh";
export const perKwh = "suffix:/kWh";

// Neither energy nor mass: counts, times, bytes. A panel has one of these only if it says so (`plain`).
export const count = "short";
export const seconds = "s";
export const bytes = "bytes";
export const hertz = "hertz";
export const celsius = "celsius";
export const instant = "dateTimeAsIso";
/** Words, though they may look like numbers: ids. */
export const words = "string";
export const perSecond = "cps";

export const energetic = new Set([watt, joule, kwh, gram, dollar, ratio, intensity, perKwh]);
