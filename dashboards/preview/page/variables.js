// The dashboard's variables: their options, from Prometheus where they ask it, and their values.
import { inExpression, interpolator } from './interpolation.js';
import { labelValues, queryResult } from './prometheus.js';
import { steps } from './time.js';

const ALL = '$__all';

/** All variables of a dashboard in order, each resolved with those before it. `chosen` maps names to values of the address. */
export async function resolveVariables(list, range, chosen) {
  const variables = {
    __from: { name: '__from', value: range.from.valueOf() },
    __to: { name: '__to', value: range.to.valueOf() },
    __timezone: { name: '__timezone', value: 'utc' },
    ...Object.fromEntries(Object.entries(steps({ range, width: 1000 }).scoped).map(([name, { value }]) => [name, { name, value }])),
  };
  for (const model of list) {
    const replace = interpolator(variables);
    try {
      const options = await optionsOf(model, replace, range);
      variables[model.name] = valueOf(model, options, chosen[model.name]);
    } catch (error) {
      throw new Error(`variable ${model.name}: ${error.message}`);
    }
  }
  return variables;
}

async function optionsOf(model, replace, range) {
  switch (model.type) {
    case 'query':
      return ordered(filtered(await asked(model, (text) => replace(text, {}, inExpression), range), model.regex), model.sort);
    case 'custom':
    case 'interval':
      return split(replace(model.query)).filter(({ value }) => value !== 'auto');
    case 'constant':
    case 'textbox':
      return [{ text: replace(model.query ?? ''), value: replace(model.query ?? '') }];
    case 'datasource':
      if (model.query !== 'prometheus') throw new Error(`data source of type ${model.query}: the preview has only Prometheus`);
      return [{ text: 'Prometheus', value: 'prometheus' }];
    case 'adhoc':
      return [{ text: '', value: '' }];
    default:
      throw new Error(`type ${model.type} is not one of the preview's`);
  }
}

async function asked({ query, definition }, replace, range) {
  const text = replace(typeof query === 'string' ? query : (query?.query ?? definition));
  const values = text.match(/^label_values\(\s*(?:(.+),\s*)?([a-zA-Z_]\w*)\s*\)\s*$/s);
  if (values) return labelValues(values[2], values[1], range);
  const metrics = text.match(/^metrics\((.+)\)\s*$/);
  if (metrics) return (await labelValues('__name__', undefined, range)).filter((name) => new RegExp(metrics[1]).test(name));
  const result = text.match(/^query_result\((.+)\)\s*$/s);
  if (result) return queryResult(result[1], range);
  throw new Error(`query ${JSON.stringify(text)}: only label_values(), metrics() and query_result() are understood`);
}

function filtered(values, regex) {
  if (!regex) return values.map((value) => ({ text: value, value }));
  const parts = regex.match(/^\/(.*)\/([a-z]*)$/s);
  const pattern = new RegExp(parts ? parts[1] : `^${regex}$`, parts?.[2].replace('g', ''));
  const seen = new Map();
  for (const value of values) {
    const match = pattern.exec(value);
    if (!match) continue;
    const found = match.groups?.value ?? match[1] ?? match[0];
    seen.set(found, { value: found, text: match.groups?.text ?? found });
  }
  return [...seen.values()];
}

function ordered(options, sort = 0) {
  if (sort === 0) return options;
  const compare = {
    1: (a, b) => (a.text < b.text ? -1 : 1),
    3: (a, b) => parseFloat(a.text.replace(/^\D*/, '')) - parseFloat(b.text.replace(/^\D*/, '')),
    5: (a, b) => (a.text.toLowerCase() < b.text.toLowerCase() ? -1 : 1),
    7: (a, b) => a.text.localeCompare(b.text, 'en', { numeric: true }),
  }[sort % 2 === 0 ? sort - 1 : sort];
  const result = [...options].sort(compare);
  return sort % 2 === 0 ? result.reverse() : result;
}

function split(query) {
  return (query.match(/(?:\\,|[^,])+/g) ?? []).map((part) => {
    const text = part.replace(/\\,/g, ',').trim();
    const named = text.match(/^(.+?)\s+:\s+(.+)$/s);
    return named ? { text: named[1], value: named[2] } : { text, value: text };
  });
}

function valueOf(model, options, chosen) {
  const { name, label, type, multi = false, includeAll = false, allValue, hide = 0 } = model;
  const common = { name, label: label || name, type, multi, includeAll, hide, options };
  const text = (value) => options.find((option) => option.value === value)?.text ?? value;
  const wanted = [].concat(chosen ?? model.current?.value ?? []).filter((value) => value !== '');
  if (type === 'textbox') return { ...common, value: chosen ?? model.current?.value ?? options[0].value };
  if (type === 'constant') return { ...common, value: options[0].value, hide: 2 };
  if (includeAll && (wanted.includes(ALL) || wanted.length === 0)) return { ...common, all: true, shown: 'All', value: allValue || options.map(({ value }) => value), literal: Boolean(allValue) };
  const valid = wanted.filter((value) => options.some((option) => option.value === value));
  if (valid.length === 0 && options.length > 0) {
    // As in Grafana: the first option, where what was saved is not there.
    if (includeAll) return { ...common, all: true, shown: 'All', value: allValue || options.map(({ value }) => value), literal: Boolean(allValue) };
    valid.push(options[0].value);
  }
  if (multi) return { ...common, value: valid, shown: valid.map(text).join(' + ') };
  return { ...common, value: valid[0] ?? '', shown: text(valid[0] ?? '') };
}
