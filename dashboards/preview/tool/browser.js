// A dashboard in headless Chromium: opened, waited for, judged, photographed.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

const PATIENCE_MS = 120_000;
const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** The browser: `CHROMIUM` of the environment, else Debian's. */
export async function launch() {
  const executablePath = process.env.CHROMIUM ?? CHROMIUM.find((path) => existsSync(path));
  if (!executablePath) throw new Error('no Chromium: install Debian\'s `chromium`, or set CHROMIUM to its path');
  const args = ['--font-render-hinting=none', '--force-color-profile=srgb', '--hide-scrollbars'];
  // The sandbox needs another user than root.
  if (process.getuid?.() === 0) args.push('--no-sandbox');
  return chromium.launch({ executablePath, args });
}

/** Opens a dashboard and answers with what is wrong and how each panel fared; writes a picture where `picture` names one. */
export async function visit(browser, { address, width, theme, picture }) {
  const context = await browser.newContext({ viewport: { width, height: 1000 }, timezoneId: 'UTC', locale: 'en-GB', reducedMotion: 'reduce' });
  const faults = [];
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
    page.on('console', (message) => {
      if (message.type() !== 'error') return;
      const { url } = message.location();
      // Monospace and icon fonts that no package brings: the next in the list is taken.
      if (/\/public\/fonts\//.test(url)) return;
      // A query's failure is told by its panel.
      if (/\/prometheus\//.test(url)) return;
      faults.push(`console: ${message.text()}${url ? ` (${url})` : ''}`);
    });
    await page.goto(`${address}${address.includes('?') ? '&' : '?'}theme=${theme}`);
    try {
      await page.waitForFunction(
        () => window.preview?.error || (window.preview?.expected !== undefined && Object.keys(window.preview.panels).length >= window.preview.expected),
      );
    } catch {
      faults.push(`not all panels settled within ${PATIENCE_MS / 1000} s`);
    }
    await page.evaluate(() => document.fonts.ready);
    await page.waitForLoadState('networkidle');
    // Legends are measured and charts redrawn once more.
    await page.waitForTimeout(300);
    const { error, panels } = await page.evaluate(() => window.preview);
    if (error) faults.push(error);
    const geometry = await page.evaluate(measure);
    if (picture) {
      const height = await page.evaluate(() => Math.ceil(document.querySelector('main')?.getBoundingClientRect().height ?? 1000));
      await page.setViewportSize({ width, height: Math.max(height, 400) });
      await page.waitForTimeout(300);
      await page.screenshot({ path: picture, fullPage: true });
      await shrink(picture);
    }
    return { faults, panels: Object.values(panels), ...geometry };
  } finally {
    await context.close();
  }
}

// Runs in the page.
function measure() {
  const boxes = [...document.querySelectorAll('[data-panel]')].map((element) => {
    const { left, top, right, bottom } = element.getBoundingClientRect();
    const heading = element.querySelector('h2');
    return { left, top, right, bottom, title: heading?.textContent ?? element.dataset.panel, cut: Boolean(heading && heading.scrollWidth > heading.clientWidth) };
  });
  const overlaps = [];
  boxes.forEach((a, index) => {
    for (const b of boxes.slice(index + 1)) {
      if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1) overlaps.push(`${a.title} and ${b.title}`);
    }
  });
  const outside = boxes.filter(({ right }) => right > document.documentElement.clientWidth + 1).map(({ title }) => title);
  return { overlaps, outside, truncated: boxes.filter(({ cut }) => cut).map(({ title }) => title) };
}

// 256 colours are plenty for panels, and a third of the bytes. Without pngquant the picture stays as it is.
async function shrink(picture) {
  await promisify(execFile)('pngquant', ['--force', '--skip-if-larger', '--speed', '1', '--strip', '--output', picture, '--', picture]).catch((error) => {
    if (error.code !== 'ENOENT' && error.code !== 98) throw error;
  });
}
