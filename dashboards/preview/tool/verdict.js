// What is wrong with a dashboard as it was seen, and what is only worth a remark.

/** `{errors, remarks, summary}` of what a visit found. */
export function judge({ faults, panels, overlaps, outside, truncated }, { uid, strictTitles, mayBeEmpty }) {
  const errors = [...faults];
  const remarks = [];
  for (const { title, type, status, error, noValue } of panels) {
    const name = `${title || 'a panel without title'} (${type})`;
    if (status === 'error') errors.push(`${name}: ${error}`);
    if (status === 'empty' && !noValue) errors.push(`${name}: no data, and no empty state: set fieldConfig.defaults.noValue if it may be empty`);
    const expected = !mayBeEmpty || mayBeEmpty.includes(`${uid}/${title}`);
    if (status === 'empty' && noValue) (expected ? remarks : errors).push(`${name}: empty: ${noValue}`);
  }
  if (panels.length === 0) errors.push('no panels');
  errors.push(...overlaps.map((pair) => `panels overlap: ${pair}`));
  errors.push(...outside.map((title) => `beyond the right edge: ${title}`));
  (strictTitles ? errors : remarks).push(...truncated.map((title) => `title cut short: ${title}`));
  const slowest = panels.reduce((worst, panel) => ((panel.milliseconds ?? 0) > (worst?.milliseconds ?? 0) ? panel : worst), undefined);
  const summary = `${panels.length} panels${slowest ? `, slowest ${slowest.title || slowest.type} ${slowest.milliseconds} ms` : ''}`;
  return { errors, remarks, summary };
}
