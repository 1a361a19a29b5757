// The page: reads the address, fetches the dashboard, draws it, and says in `window.preview` how each panel fared.
import { useEffect, useRef, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { createTheme } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { GlobalStyles, PortalContainer, ThemeContext } from '@grafana/ui';
import './flot.js';
import { Dashboard } from './dashboard.jsx';
import { timeRange } from './time.js';
import { resolveVariables } from './variables.js';

// Grafana's panels ask this global for feature toggles and the like.
window.grafanaBootData = { settings: { featureToggles: {}, buildInfo: {} }, user: {}, navTree: [] };

const fetchJson = async (path) => {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
};

// What the browser's driver waits for: every panel in `panels` once `expected` of them have settled.
window.preview = { panels: {}, expected: undefined, error: undefined };

function Page({ settings, theme }) {
  const address = useAddress();
  const width = useWidth() - 32;
  const [content, setContent] = useState({});
  const settled = useRef({});
  const uid = address.path.match(/^\/d\/([^/]+)/)?.[1];

  useEffect(() => {
    let current = true;
    (async () => {
      const dashboards = await fetchJson('/api/dashboards');
      if (!uid) return setContent({ dashboards });
      const dashboard = await fetchJson(`/api/dashboards/${uid}`);
      const raw = { from: address.query.get('from') ?? dashboard.time?.from ?? 'now-6h', to: address.query.get('to') ?? dashboard.time?.to ?? 'now' };
      const now = settings.end ? settings.end * 1000 : Date.now();
      const range = timeRange(raw, now);
      const chosen = {};
      for (const { name, multi } of dashboard.templating?.list ?? []) {
        const values = address.query.getAll(`var-${name}`);
        if (values.length > 0) chosen[name] = multi ? values : values[0];
      }
      const variables = await resolveVariables(dashboard.templating?.list ?? [], range, chosen);
      if (current) setContent({ dashboards, dashboard, variables, range, now });
    })().catch((error) => {
      window.preview.error = error.message;
      if (current) setContent({ error });
    });
    return () => {
      current = false;
    };
  }, [uid, address.search]);

  useEffect(() => {
    if (content.dashboard) window.preview.expected = document.querySelectorAll('[data-panel]').length;
  });

  if (content.error) return <pre style={{ padding: 32 }}>{content.error.message}</pre>;
  if (!uid) return <List dashboards={content.dashboards ?? []} />;
  if (!content.dashboard) return null;
  return (
    <Dashboard
      key={`${uid}${address.search}`}
      {...content}
      width={width}
      navigate={address.change}
      settle={(key, outcome) => {
        settled.current[key] = outcome;
        window.preview.panels = { ...settled.current };
      }}
    />
  );
}

// Panels measure texts to choose their sizes, so the fonts that the global styles name come first.
function WithFonts({ children }) {
  const [loaded, setLoaded] = useState(false);
  useEffect(() => {
    Promise.all(['400 14px Inter', '500 14px Inter'].map((font) => document.fonts.load(font))).then((fonts) => {
      if (fonts.flat().length === 0) window.preview.error = 'the typeface Inter did not load';
      setLoaded(true);
    });
  }, []);
  return loaded ? children : null;
}

function List({ dashboards }) {
  return (
    <ul style={{ padding: 32, fontSize: 18, lineHeight: 2 }}>
      {dashboards.map(({ uid, title }) => (
        <li key={uid}>
          <a href={`/d/${uid}`}>{title}</a> · <a href={`/d/${uid}?theme=light`}>light</a>
        </li>
      ))}
    </ul>
  );
}

function useAddress() {
  const [search, setSearch] = useState(window.location.search);
  const change = (parameters) => {
    const query = new URLSearchParams(search);
    for (const [name, value] of Object.entries(parameters)) {
      query.delete(name);
      for (const one of [].concat(value)) query.append(name, one);
    }
    window.history.pushState(null, '', `?${query}`);
    setSearch(`?${query}`);
  };
  useEffect(() => {
    const back = () => setSearch(window.location.search);
    window.addEventListener('popstate', back);
    return () => window.removeEventListener('popstate', back);
  }, []);
  return { path: window.location.pathname, search, query: new URLSearchParams(search), change };
}

function useWidth() {
  const [width, setWidth] = useState(document.documentElement.clientWidth);
  useEffect(() => {
    const measure = () => setWidth(document.documentElement.clientWidth);
    window.addEventListener('resize', measure);
    return () => window.removeEventListener('resize', measure);
  }, []);
  return width;
}

(async () => {
  await initPluginTranslations('grafana', []);
  const settings = await fetchJson('/api/settings');
  const mode = new URLSearchParams(window.location.search).get('theme') === 'light' ? 'light' : 'dark';
  const theme = createTheme({ colors: { mode } });
  document.body.classList.add(`theme-${mode}`);
  createRoot(document.getElementById('root')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <WithFonts>
        <Page settings={settings} theme={theme} />
        <PortalContainer />
      </WithFonts>
    </ThemeContext.Provider>,
  );
})();
