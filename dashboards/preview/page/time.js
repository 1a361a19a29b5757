// The time that a dashboard shows, and the variables that hang on it.
import { dateMath, rangeUtil } from '@grafana/data';

const SCRAPE_INTERVAL_SECONDS = 15;

/** The range from `raw` ({from, to} as in a dashboard), with `now` (ms) as the present. */
export function timeRange(raw, now) {
  const at = (text, roundUp) => {
    const time = dateMath.toDateTime(/^\d+$/.test(text) ? new Date(Number(text)) : text, { roundUp, timezone: 'utc', now: new Date(now) });
    if (!time?.isValid()) throw new Error(`time ${JSON.stringify(text)}: not understood`);
    return time;
  };
  return { from: at(raw.from, false), to: at(raw.to, true), raw };
}

/** Seconds of a duration such as 5m; undefined where there is none. */
export function seconds(text) {
  if (!text) return undefined;
  return rangeUtil.intervalToMs(text.replace(/^>/, '')) / 1000;
}

/** The step of a query and the scoped variables that a panel of this width gives it, as Grafana's Prometheus does. */
export function steps({ range, width, minimum, resolution = 1 }) {
  const span = (range.to.valueOf() - range.from.valueOf()) / 1000;
  const lowest = seconds(minimum) ?? SCRAPE_INTERVAL_SECONDS;
  const calculated = rangeUtil.calculateInterval(range, Math.max(1, Math.round(width)), `${lowest}s`);
  // Prometheus answers at most 11,000 points.
  const step = Math.max(Math.ceil(calculated.intervalMs / 1000) * resolution, lowest, Math.ceil(span / 11000));
  const rate = Math.max(step + SCRAPE_INTERVAL_SECONDS, 4 * SCRAPE_INTERVAL_SECONDS);
  const whole = Math.round(span);
  return {
    step,
    scoped: {
      __interval: { value: rangeUtil.secondsToHms(step) },
      __interval_ms: { value: step * 1000 },
      __rate_interval: { value: rangeUtil.secondsToHms(rate) },
      __rate_interval_ms: { value: rate * 1000 },
      __range: { value: `${whole}s` },
      __range_s: { value: whole },
      __range_ms: { value: whole * 1000 },
    },
  };
}

/** The range of a panel with times of its own: `timeFrom` (1h, now/d) replaces the beginning, `timeShift` moves both back. */
export function panelRange({ timeFrom, timeShift }, range, now) {
  let { raw } = range;
  if (timeFrom) raw = { from: timeFrom.startsWith('now') ? timeFrom : `now-${timeFrom}`, to: 'now' };
  if (timeShift) {
    const shifted = (text) => (text.startsWith('now') ? text.replace(/^now/, `now-${timeShift}`) : text);
    raw = { from: shifted(raw.from), to: shifted(raw.to) };
  }
  return timeFrom || timeShift ? timeRange(raw, now) : range;
}
