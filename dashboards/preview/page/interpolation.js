// Variables in texts and queries: $name, ${name}, ${name:format}, [[name]], ${name.field:format}.
import { dateTimeFormat, getDisplayProcessor, formattedValueToString, getFieldDisplayName } from '@grafana/data';

const PATTERN = /\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.([^:}]+))?(?::([^}]+))?\}/g;

// What Prometheus' data source does with a value: several become an alternation, for =~.
const escapeRegex = (text) => String(text).replace(/\\/g, '\\\\\\\\').replace(/[$^*{}[\]'+?.()|]/g, '\\\\$&');
const escapeString = (text) => String(text).replace(/\\/g, '\\\\').replace(/'/g, "\\'");

/** A variable's value as it goes into an expression. */
export function inExpression(value, variable) {
  // The value for All is an expression already.
  if (variable.literal && variable.all) return String(value);
  if (!variable.multi && !variable.includeAll) return Array.isArray(value) ? value.map(escapeString).join('|') : escapeString(value);
  const values = (Array.isArray(value) ? value : [value]).map(escapeRegex);
  return values.length === 1 ? values[0] : `(${values.join('|')})`;
}

const inText = (value) => (Array.isArray(value) ? (value.length === 1 ? value[0] : `{${value.join(',')}}`) : String(value));

const FORMATS = {
  raw: inText,
  text: (value, variable) => variable.shown ?? (Array.isArray(value) ? value.join(' + ') : String(value)),
  csv: (value) => [].concat(value).join(','),
  pipe: (value) => [].concat(value).join('|'),
  regex: (value) => {
    const escaped = [].concat(value).map((one) => String(one).replace(/[\\^$*+?.()|[\]{}/]/g, '\\$&'));
    return escaped.length === 1 ? escaped[0] : `(${escaped.join('|')})`;
  },
  glob: inText,
  json: (value) => JSON.stringify(value),
  doublequote: (value) => [].concat(value).map((one) => `"${one}"`).join(','),
  singlequote: (value) => [].concat(value).map((one) => `'${one}'`).join(','),
  percentencode: (value) => encodeURIComponent(inText(value)),
  uriencode: (value) => encodeURI(inText(value)),
  queryparam: (value, { name }) => [].concat(value).map((one) => `var-${name}=${encodeURIComponent(one)}`).join('&'),
  date: (value, variable, argument) => dateTimeFormat(Number(value), { timeZone: 'utc', format: argument && argument !== 'iso' ? argument : 'YYYY-MM-DDTHH:mm:ss[Z]' }),
};

/**
 * A function that replaces variables: `(text, scoped, format)`. `variables` maps a name to `{name, value, multi, includeAll,
 * all, shown}`; `scoped` maps a name to `{value}` and goes first. What is not known stays as it is.
 */
export function interpolator(variables) {
  return function replace(text, scoped = {}, format = undefined) {
    if (typeof text !== 'string' || !/[$[]/.test(text)) return text;
    return text.replace(PATTERN, (match, plain, bracketed, bracketFormat, braced, path, bracedFormat) => {
      const name = plain ?? bracketed ?? braced;
      const wanted = bracketFormat ?? bracedFormat ?? format;
      if (name.startsWith('__') && scoped.__dataContext) {
        const value = fromData(name, path, scoped.__dataContext.value);
        if (value !== undefined) return write(value, { name }, wanted);
      }
      if (name === '__all_variables') {
        return Object.values(variables).filter((one) => !one.name.startsWith('__')).map((one) => FORMATS.queryparam(one.all ? '$__all' : one.value, one)).join('&');
      }
      if (name === '__url_time_range') return `from=${variables.__from?.value}&to=${variables.__to?.value}`;
      const scope = scoped[name];
      if (scope) return write(path ? scope.value?.[path] : scope.value, { ...variables[name], name, shown: scope.text, all: false }, wanted);
      const variable = variables[name];
      if (!variable) return match;
      return write(wanted === 'queryparam' && variable.all ? '$__all' : variable.value, variable, wanted);
    });
  };
}

function write(value, variable, format) {
  if (typeof format === 'function') return format(value, variable);
  const [id, ...rest] = (format ?? 'raw').split(':');
  return (FORMATS[id] ?? FORMATS.raw)(value, variable, rest.join(':'));
}

// ${__field.name}, ${__field.labels.x}, ${__value.text}, ${__data.fields["Name"]}: of the cell or series that a link is on.
function fromData(name, path = '', { data, frame, field, rowIndex, calculatedValue }) {
  const cell = (of) => of?.values?.[rowIndex ?? 0];
  const shown = (of, value) => formattedValueToString((of.display ?? getDisplayProcessor({ field: of }))(value));
  switch (name) {
    case '__series':
      return frame?.name ?? getFieldDisplayName(field, frame, data);
    case '__field':
      if (path.startsWith('labels.')) return field.labels?.[path.slice('labels.'.length)] ?? '';
      return getFieldDisplayName(field, frame, data);
    case '__value': {
      if (calculatedValue) return path === 'numeric' ? calculatedValue.numeric : formattedValueToString(calculatedValue);
      return path === 'text' || path === '' ? shown(field, cell(field)) : cell(field);
    }
    case '__data': {
      const wanted = path.match(/^fields(?:\.(\w+)|\[["']?([^\]"']+)["']?\])/);
      const key = wanted?.[1] ?? wanted?.[2];
      const other = frame?.fields.find((one, index) => one.name === key || getFieldDisplayName(one, frame, data) === key || String(index) === key);
      return other && String(cell(other) ?? '');
    }
    default:
      return undefined;
  }
}
