// The preview's own server: the page, Grafana's icons and fonts, the dashboards, and Prometheus behind it.
import { createReadStream } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const modules = fileURLToPath(new URL('../node_modules/', import.meta.url));
const icons = path.join(modules, '@grafana/ui/dist/public/img/icons');
// One variable font stands for all the weights that Grafana's style sheet asks for.
const inter = path.join(modules, '@fontsource-variable/inter/files');

const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.map': 'application/json',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Preview</title><base href="/"><link rel="icon" href="data:,">
<link rel="stylesheet" href="/built/page.css"><style>body { margin: 0 }</style></head><body><div id="root"></div><script src="/built/page.js"></script></body></html>
`;

/** The dashboards in these files and folders, in the order of their files: `{file, uid, dashboard}`. */
export async function readDashboards(places) {
  const files = [];
  for (const place of places) {
    if (place.endsWith('.json')) files.push(place);
    else for (const name of (await readdir(place)).sort()) if (name.endsWith('.json')) files.push(path.join(place, name));
  }
  const dashboards = [];
  for (const file of files) {
    let dashboard;
    try {
      dashboard = JSON.parse(await readFile(file, 'utf8'));
    } catch (error) {
      throw new Error(`${file}: ${error.message}`);
    }
    if (!dashboard.uid) throw new Error(`${file}: no uid: give the dashboard a fixed one`);
    const twin = dashboards.find((other) => other.uid === dashboard.uid);
    if (twin) throw new Error(`${file}: the uid ${dashboard.uid} is also that of ${twin.file}`);
    dashboards.push({ file, uid: dashboard.uid, dashboard });
  }
  return dashboards;
}

/** Listens on the loopback address and answers with the port. `settings` is what the page gets to know. */
export async function listen({ port, built, places, prometheus, settings }) {
  const server = http.createServer((request, response) => {
    answer(request, response, { built, places, prometheus, settings }).catch((error) => {
      response.writeHead(500, { 'content-type': 'text/plain' }).end(String(error.message));
    });
  });
  await new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return { port: server.address().port, close: () => server.closeAllConnections?.() ?? server.close() };
}

async function answer(request, response, { built, places, prometheus, settings }) {
  const { pathname } = new URL(request.url, 'http://localhost');
  const json = (value) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));

  if (pathname.startsWith('/prometheus/')) return forward(request, response, prometheus);
  if (pathname === '/api/settings') return json(settings);
  if (pathname === '/api/dashboards') {
    return json((await readDashboards(places)).map(({ uid, dashboard: { title, tags } }) => ({ uid, title, tags: tags ?? [] })));
  }
  if (pathname.startsWith('/api/dashboards/')) {
    const uid = decodeURIComponent(pathname.slice('/api/dashboards/'.length));
    const found = (await readDashboards(places)).find((one) => one.uid === uid);
    return found ? json(found.dashboard) : response.writeHead(404).end();
  }
  if (pathname.startsWith('/built/')) return file(response, path.join(built, path.basename(pathname)));
  const icon = pathname.match(/^\/public\/build\/img\/icons\/(\w+\/[\w-]+\.svg)$/);
  if (icon) return file(response, path.join(icons, icon[1]));
  const font = pathname.match(/^\/public\/fonts\/inter\/.*?(Italic)?\.woff2$/);
  if (font) return file(response, path.join(inter, `inter-latin-wght-${font[1] ? 'italic' : 'normal'}.woff2`));
  if (pathname === '/' || pathname.startsWith('/d/')) return response.writeHead(200, { 'content-type': TYPES['.html'] }).end(PAGE);
  return response.writeHead(404).end();
}

function file(response, name) {
  const stream = createReadStream(name);
  stream.on('error', () => response.writeHead(404).end());
  stream.on('open', () => {
    response.writeHead(200, { 'content-type': TYPES[path.extname(name)] ?? 'application/octet-stream' });
    stream.pipe(response);
  });
}

function forward(request, response, prometheus) {
  const target = new URL(prometheus.replace(/\/$/, '') + request.url.slice('/prometheus'.length));
  const { request: send } = target.protocol === 'https:' ? https : http;
  const { host, connection, origin, referer, ...headers } = request.headers;
  const onward = send(target, { method: request.method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', (error) => response.writeHead(502, { 'content-type': 'text/plain' }).end(`${target.origin}: ${error.message}`));
  request.pipe(onward);
}
