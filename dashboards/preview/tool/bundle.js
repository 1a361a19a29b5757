// The page as one script and one style sheet, built by esbuild.
import { readFile, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const page = fileURLToPath(new URL('../page', import.meta.url));
const lock = fileURLToPath(new URL('../package-lock.json', import.meta.url));
const folder = fileURLToPath(new URL('../node_modules/.cache/noether-preview', import.meta.url));

const modified = (name) => stat(name).then(({ mtimeMs }) => mtimeMs, () => 0);

// What panels never show, and what would make the bundle three times as large: maps, a code editor, telemetry.
const UNUSED = /^(monaco-editor|@monaco-editor\/react|ol|ol\/.*|@grafana\/faro-web-sdk)$/;
const unused = {
  name: 'unused',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: UNUSED }, ({ path }) => ({ path, namespace: 'unused' }));
    onLoad({ filter: /.*/, namespace: 'unused' }, () => ({ contents: 'module.exports = {}' }));
  },
};

// Grafana's packages are ES modules in files named .mjs, and import CommonJS packages by their default. For a .mjs file esbuild
// takes that as Node does (`default` is the whole module), and React then meets objects where it wants components. Under
// another name the bundler's own convention holds (`__esModule`), for which those files were compiled.
const asScripts = {
  name: 'grafana-as-scripts',
  setup({ onResolve, onLoad, resolve }) {
    const passed = Symbol('passed');
    onResolve({ filter: /.*/ }, async ({ path: name, pluginData, kind, importer, resolveDir }) => {
      if (pluginData === passed || kind === 'entry-point') return undefined;
      const found = await resolve(name, { kind, importer, resolveDir, pluginData: passed });
      if (found.errors.length > 0 || !/@grafana[\\/].*\.mjs$/.test(found.path)) return found;
      return { path: found.path.replace(/\.mjs$/, '.js'), namespace: 'grafana', sideEffects: found.sideEffects };
    });
    onLoad({ filter: /.*/, namespace: 'grafana' }, async ({ path: name }) => {
      const contents = await readFile(name.replace(/\.js$/, '.mjs'), 'utf8');
      return { contents, loader: 'js', resolveDir: path.dirname(name) };
    });
  },
};

// TableNG is what Grafana 12 draws, but its package exports only the table before it.
const internals = {
  name: 'grafana-internals',
  setup({ onResolve }) {
    onResolve({ filter: /^grafana-ui-internal\// }, ({ path: name }) => ({
      path: fileURLToPath(new URL(`../node_modules/@grafana/ui/dist/esm/${name.replace(/^[^/]*\//, '')}.js`, import.meta.url)),
      namespace: 'grafana',
    }));
  },
};

// Grafana has its own react-data-grid, from an address that no registry knows. The registry's nearest one was written for React
// 19, where a context is its own provider; under 18, which Grafana's packages ask for, it has to be said.
const dataGrid = {
  name: 'data-grid-for-react-18',
  setup({ onLoad }) {
    onLoad({ filter: /react-data-grid[\\/]lib[\\/]bundle\.js$/ }, async ({ path: name }) => ({
      contents: (await readFile(name, 'utf8')).replace(/\b(jsxs?)\((\w+Context), \{/g, '$1($2.Provider, {'),
      loader: 'js',
    }));
  },
};

/** Builds the page where it is older than what it is made of, and answers with its folder. Throws with esbuild's own messages. */
export async function bundle() {
  const made = await modified(path.join(folder, 'page.js'));
  const parts = [fileURLToPath(import.meta.url), lock, ...(await readdir(page, { recursive: true })).map((name) => path.join(page, name))];
  const newest = Math.max(...(await Promise.all(parts.map(modified))));
  if (made > newest) return folder;
  await build({
    entryPoints: { page: path.join(page, 'main.jsx') },
    outdir: folder,
    bundle: true,
    format: 'iife',
    target: 'es2022',
    jsx: 'automatic',
    minify: true,
    keepNames: true,
    sourcemap: 'linked',
    logLevel: 'error',
    loader: { '.svg': 'dataurl', '.woff2': 'dataurl' },
    define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
    plugins: [internals, unused, dataGrid, asScripts],
  });
  return folder;
}
