// One panel: its queries, its frames, and what draws them, within Grafana's frame for panels.
import { Component, useEffect, useMemo, useState } from 'react';
import { LoadingState, renderMarkdown } from '@grafana/data';
import { Icon, PanelChrome, Tooltip, useTheme2 } from '@grafana/ui';
import { configured, transformed } from './fields.js';
import { inExpression, interpolator } from './interpolation.js';
import { VISUALISATIONS } from './panels/index.js';
import { queryTarget } from './prometheus.js';
import { panelRange, seconds, steps } from './time.js';

export function Panel({ item, width, height, variables, range: whole, now, settle }) {
  const { panel, scoped, key } = item;
  const range = useMemo(() => panelRange(panel, whole, now), [panel, whole, now]);
  const theme = useTheme2();
  const [state, setState] = useState({ loading: true });

  const { replace, step, scopedAll } = useMemo(() => {
    const resolution = panel.maxDataPoints ?? width;
    const calculated = steps({ range, width: resolution, minimum: panel.interval });
    const all = { ...calculated.scoped, ...scoped };
    const base = interpolator(variables);
    return { step: calculated.step, scopedAll: all, replace: (text, more, format) => base(text, { ...all, ...more }, format) };
  }, [panel, scoped, variables, range, width]);

  useEffect(() => {
    let current = true;
    (async () => {
      const { frames, milliseconds } = await load(panel, { replace, variables, range, step, width });
      const shown = configured(await transformed(frames, panel.transformations ?? [], replace), panel, replace, theme);
      if (current) setState({ frames: shown, milliseconds });
    })().catch((error) => current && setState({ error }));
    return () => {
      current = false;
    };
  }, [panel, replace, range, theme]);

  const Visualisation = VISUALISATIONS[panel.type];
  const noValue = panel.fieldConfig?.defaults?.noValue;
  const error = state.error ?? (Visualisation ? undefined : new Error(`panel type ${panel.type} is not one of the preview's`));
  const isEmpty = panel.type !== 'text' && state.frames && !state.frames.some(hasValue);
  const title = replace(panel.title ?? '');
  const ownTime = !panel.hideTimeOverride && [panel.timeFrom && `Last ${panel.timeFrom}`, panel.timeShift && `timeshift -${panel.timeShift}`].filter(Boolean).join(' ');
  const status = error ? 'error' : state.loading ? 'loading' : isEmpty ? 'empty' : 'data';

  useEffect(() => {
    if (status !== 'loading') settle(key, { title, type: panel.type, status, error: error?.message, noValue, milliseconds: state.milliseconds, series: state.frames?.length });
  }, [status, state]);

  return (
    <PanelChrome
      width={width}
      height={height}
      title={title}
      padding={panel.type === 'table' ? 'none' : 'md'}
      displayMode={panel.transparent ? 'transparent' : 'default'}
      hoverHeader={!title}
      description={panel.description ? () => <div className="markdown-html" dangerouslySetInnerHTML={{ __html: renderMarkdown(replace(panel.description)) }} /> : undefined}
      titleItems={
        panel.links?.length || ownTime ? (
          <>
            {ownTime && <PanelChromeTime text={ownTime} />}
            <PanelLinks links={panel.links ?? []} replace={replace} />
          </>
        ) : undefined
      }
      loadingState={state.loading ? LoadingState.Loading : error ? LoadingState.Error : LoadingState.Done}
      statusMessage={error?.message}
    >
      {(innerWidth, innerHeight) => {
        if (error) return <Message text={error.message} />;
        if (state.loading) return null;
        if (isEmpty && panel.type !== 'stat') return <Message text={noValue ?? 'No data'} />;
        return (
          <Boundary onError={(thrown) => setState({ error: thrown })}>
            <Visualisation
              panel={panel}
              options={panel.options ?? {}}
              fieldConfig={panel.fieldConfig ?? { defaults: {}, overrides: [] }}
              frames={state.frames}
              width={innerWidth}
              height={innerHeight}
              timeRange={range}
              replace={replace}
            />
          </Boundary>
        );
      }}
    </PanelChrome>
  );
}

async function load(panel, { replace, variables, range, step, width }) {
  const targets = (panel.targets ?? []).filter((target) => !target.hide && target.expr !== undefined);
  const tables = targets.filter((target) => target.format === 'table').length;
  const from = performance.now();
  const answers = await Promise.all(
    targets.map((target) => {
      const minimum = target.interval ? replace(target.interval) : undefined;
      const own = minimum ? steps({ range, width: panel.maxDataPoints ?? width, minimum }) : { step, scoped: {} };
      const expression = replace(target.expr, own.scoped, inExpression);
      const left = expression.match(/\$\{?\w+|\[\[\w+/);
      if (left) throw new Error(`${target.refId}: ${left[0]} is no variable`);
      return queryTarget({ target: { ...target, legendFormat: replace(target.legendFormat) }, expression, range, step: Math.max(own.step, seconds(minimum) ?? 0), tables }).catch((error) => {
        throw new Error(`${target.refId}: ${error.message}`);
      });
    }),
  );
  return { frames: answers.flat(), milliseconds: Math.round(performance.now() - from) };
}

const hasValue = (frame) => frame.fields.some((field) => field.type !== 'time' && field.values.some((value) => value !== null && value !== undefined && value !== ''));

function PanelChromeTime({ text }) {
  const { colors } = useTheme2();
  return <span style={{ padding: '0 4px', fontSize: 12, color: colors.text.secondary, whiteSpace: 'nowrap' }}>{text}</span>;
}

function PanelLinks({ links, replace }) {
  return links.map((link) => (
    <Tooltip key={link.title} content={replace(link.title)}>
      <a href={replace(link.url)} style={{ padding: '0 4px' }} aria-label={replace(link.title)}>
        <Icon name="external-link-alt" />
      </a>
    </Tooltip>
  ));
}

function Message({ text }) {
  const { colors } = useTheme2();
  return (
    <div style={{ display: 'flex', alignItems: 'center', justifyContent: 'center', width: '100%', height: '100%', textAlign: 'center', color: colors.text.secondary, overflow: 'hidden' }}>
      {text}
    </div>
  );
}

class Boundary extends Component {
  state = { failed: false };
  static getDerivedStateFromError() {
    return { failed: true };
  }
  componentDidCatch(error) {
    this.props.onError(error);
  }
  render() {
    return this.state.failed ? null : this.props.children;
  }
}
