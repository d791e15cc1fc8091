// Writes what a page shows after so many seconds: node scripts/screenshot-page.mjs URL FILE SECONDS

import { createRequire } from 'node:module';

const { chromium } = createRequire(new URL('../js/package.json', import.meta.url))('playwright-core');
const [url, path, seconds] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage({ viewport: { width: 900, height: 500 }, colorScheme: 'light' });
  page.on('pageerror', (error) => {
    throw error;
  });
  await page.goto(url);
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  await page.screenshot({ path, fullPage: true });
} finally {
  await browser.close();
}
