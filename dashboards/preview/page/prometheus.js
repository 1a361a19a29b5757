// Prometheus' HTTP API, and its answers as Grafana's data frames.
import { FieldType, createDataFrame } from '@grafana/data';

async function ask(path, parameters) {
  const body = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) for (const one of [].concat(value)) if (one !== undefined) body.append(key, one);
  const get = path.startsWith('label/');
  const response = await fetch(`/prometheus/api/v1/${path}${get ? `?${body}` : ''}`, get ? {} : { method: 'POST', body });
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new Error(`Prometheus: ${response.status}: ${text.slice(0, 200)}`);
  }
  if (answer.status !== 'success') throw new Error(`${answer.errorType}: ${answer.error}`);
  return answer;
}

const unix = (time) => (time.valueOf() / 1000).toFixed(3);

/** The values of a label, of the series that match or of all. */
export async function labelValues(label, match, range) {
  const { data } = await ask(`label/${encodeURIComponent(label)}/values`, { 'match[]': match, start: unix(range.from), end: unix(range.to) });
  return data;
}

/** What an instant query answers at the end of the range, as the texts that query_result() gives. */
export async function queryResult(query, range) {
  const { data } = await ask('query', { query, time: unix(range.to) });
  return data.result.map(({ metric, value }) => `${seriesText(metric)} ${value[1]} ${value[0] * 1000}`);
}

/** The frames of one target. `tables` says how many targets of the panel are tables: then columns carry their refId. */
export async function queryTarget({ target, expression, range, step, tables }) {
  const frames = [];
  if (target.instant || target.range === false) {
    frames.push(...framesOf(await ask('query', { query: expression, time: unix(range.to) }), { target, expression, tables }));
  }
  if (target.range || (!target.instant && target.range !== false)) {
    // Aligned to the step, so that a reload moves no point.
    const start = Math.floor(range.from.valueOf() / 1000 / step) * step;
    const end = Math.floor(range.to.valueOf() / 1000 / step) * step;
    frames.push(...framesOf(await ask('query_range', { query: expression, start, end, step }), { target, expression, tables, step }));
  }
  return frames;
}

function framesOf({ data: { resultType, result } }, { target, expression, tables, step }) {
  if (resultType === 'scalar') result = [{ metric: {}, value: result }];
  const series = result.map(({ metric, values, value }) => ({ labels: metric, points: values ?? [value] }));
  if (target.format === 'table') return series.length > 0 ? [table(series, target, tables)] : [];
  return series.map((one) => frameOfSeries(one, { target, expression, step }));
}

function frameOfSeries({ labels, points }, { target, expression, step }) {
  const legend = legendOf(labels, target.legendFormat, expression);
  return createDataFrame({
    refId: target.refId,
    name: legend ?? '',
    meta: { type: points.length > 1 ? 'timeseries-multi' : 'numeric-multi', executedQueryString: expression },
    fields: [
      { name: 'Time', type: FieldType.time, config: step ? { interval: step * 1000 } : {}, values: points.map(([time]) => time * 1000) },
      { name: 'Value', type: FieldType.number, labels, config: legend === undefined ? {} : { displayNameFromDS: legend }, values: points.map(([, value]) => number(value)) },
    ],
  });
}

function table(series, { refId }, tables) {
  const names = [...new Set(series.flatMap(({ labels }) => Object.keys(labels)))].sort();
  const rows = series.flatMap(({ labels, points }) => points.map(([time, value]) => ({ labels, time, value })));
  return createDataFrame({
    refId,
    meta: { type: 'table' },
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: rows.map(({ time }) => time * 1000) },
      ...names.map((name) => ({ name, type: FieldType.string, config: { filterable: true }, values: rows.map(({ labels }) => labels[name] ?? '') })),
      { name: tables > 1 ? `Value #${refId}` : 'Value', type: FieldType.number, config: {}, values: rows.map(({ value }) => number(value)) },
    ],
  });
}

// Grafana draws no NaN.
const number = (text) => {
  const value = text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text);
  return Number.isNaN(value) ? null : value;
};

function legendOf(labels, format, expression) {
  if (format === '__auto') return Object.keys(labels).length > 0 ? undefined : expression;
  if (!format) return seriesText(labels) || expression;
  return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (match, name) => labels[name] ?? '');
}

function seriesText({ __name__: name = '', ...labels }) {
  const parts = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
  return parts.length > 0 ? `${name}{${parts.join(', ')}}` : name;
}
