// The command: `check` judges and photographs dashboards, `serve` shows them.
import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { launch, visit } from './browser.js';
import { bundle } from './bundle.js';
import { listen, readDashboards } from './server.js';
import { judge } from './verdict.js';

const USAGE = `usage: preview check [--prometheus URL] [--end UNIX] [--images DIR] [--only UID]... [--may-be-empty UID/TITLE]...
                     [FILE|FOLDER]...
       preview serve [--prometheus URL] [--end UNIX] [--port N] [FILE|FOLDER]...

  check    opens each dashboard in headless Chromium, in both themes and at both widths; fails on what a user should not see
  serve    shows them on the loopback address

  --prometheus URL   where the data is (default: http://localhost:9090)
  --end UNIX         the present, in seconds: the end of the data (default: now)
  --images DIR       writes <uid>-dark.png and <uid>-light.png there
  --only UID         this dashboard alone; repeat for more
  --may-be-empty UID/TITLE
                     this panel may be without data; repeat for more. Once given, all others must have data, whatever noValue they declare
  --port N           of serve (default: 18825)

Dashboards are read from the files and folders given, by default from dashboards/grafana.
`;

// Screenshots are of the first width, at which also a title cut short is an error.
const WIDTHS = [1440, 1024];
const THEMES = ['dark', 'light'];
const LARGEST_PICTURE_KIB = 600;

const OPTIONS = {
  prometheus: { type: 'string', default: 'http://localhost:9090' },
  end: { type: 'string' },
  images: { type: 'string' },
  only: { type: 'string', multiple: true },
  'may-be-empty': { type: 'string', multiple: true },
  port: { type: 'string', default: '18825' },
  help: { type: 'boolean', short: 'h' },
};

async function main() {
  let parsed;
  try {
    parsed = parseArgs({ allowPositionals: true, options: OPTIONS });
  } catch (error) {
    return misuse(error.message);
  }
  const { values, positionals } = parsed;
  if (values.help) return void process.stdout.write(USAGE);
  const [command, ...given] = positionals;
  if (!['check', 'serve'].includes(command)) return misuse(command ? `${command}: no such command` : 'no command');
  if (values.end !== undefined && !/^\d+$/.test(values.end)) return misuse(`--end ${values.end}: seconds since 1970`);

  const places = given.length > 0 ? given : [fileURLToPath(new URL('../../grafana', import.meta.url))];
  const built = await bundle();
  const settings = values.end ? { end: Number(values.end) } : {};
  const server = await listen({ port: command === 'serve' ? Number(values.port) : 0, built, places, prometheus: values.prometheus, settings });
  const origin = `http://127.0.0.1:${server.port}`;
  if (command === 'serve') {
    console.log(`${origin}/`);
    await new Promise((resolve) => ['SIGINT', 'SIGTERM'].forEach((signal) => process.once(signal, resolve)));
  } else {
    process.exitCode = (await check(origin, places, values)) ? 0 : 1;
  }
  server.close();
}

async function check(origin, places, { images, only, 'may-be-empty': mayBeEmpty }) {
  let dashboards = await readDashboards(places);
  for (const uid of only ?? []) if (!dashboards.some((one) => one.uid === uid)) throw new Error(`--only ${uid}: no such dashboard in ${places.join(', ')}`);
  if (only) dashboards = dashboards.filter(({ uid }) => only.includes(uid));
  if (dashboards.length === 0) throw new Error(`${places.join(', ')}: no dashboards`);
  if (images) await mkdir(images, { recursive: true });

  const browser = await launch();
  let good = true;
  try {
    for (const { uid } of dashboards) {
      for (const width of WIDTHS) {
        for (const theme of THEMES) {
          const picture = images && width === WIDTHS[0] ? path.join(images, `${uid}-${theme}.png`) : undefined;
          const result = await visit(browser, { address: `${origin}/d/${uid}`, width, theme, picture });
          const { errors, remarks, summary } = judge(result, { uid, strictTitles: width === WIDTHS[0], mayBeEmpty });
          const kibibytes = picture ? Math.round((await stat(picture)).size / 1024) : 0;
          if (kibibytes > LARGEST_PICTURE_KIB) errors.push(`${picture}: ${kibibytes} KiB, more than ${LARGEST_PICTURE_KIB}: install pngquant, or make the dashboard shorter`);
          const size = picture ? `, ${kibibytes} KiB` : '';
          console.log(`${errors.length > 0 ? 'FAIL' : 'ok  '} ${uid} ${theme} ${width}: ${summary}${size}`);
          for (const error of errors) console.log(`       error: ${error}`);
          for (const remark of remarks) console.log(`       note: ${remark}`);
          good &&= errors.length === 0;
        }
      }
    }
  } finally {
    await browser.close();
  }
  return good;
}

function misuse(message) {
  process.stderr.write(`preview: ${message}\n${USAGE}`);
  process.exitCode = 64;
}

main().catch((error) => {
  console.error(`preview: ${error.message}`);
  process.exitCode = 1;
});
