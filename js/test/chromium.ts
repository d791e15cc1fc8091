// Chromium, and the pages that tests open in it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before } from 'node:test';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import type { State } from '../src/index.js';
import { BOUND, path } from './support.js';

const EXECUTABLE = '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
  // The tests give pages their content themselves, so that Chromium does not see that they are of this machine.
  '--disable-features=LocalNetworkAccessChecks',
];
let browser: Browser;
export let context: BrowserContext;

before(async () => {
  browser = await launch();
  context = await browser.newContext();
  context.setDefaultTimeout(BOUND);
  // How many WebSockets a page has, and had at most.
  await context.addInitScript(() => {
    const counts = ((globalThis as any).counts = { now: 0, most: 0 });
    globalThis.WebSocket = class extends WebSocket {
      constructor(url: string | URL, protocol?: string | string[]) {
        super(url, protocol);
        counts.most = Math.max(counts.most, ++counts.now);
        this.addEventListener('close', () => counts.now--);
      }
    };
  });
});
after(() => browser?.close());

/** Another Chromium, with these flags as well. One that crashes as it starts, as it does now and then, is started again. */
export async function launch(...flags: string[]): Promise<Browser> {
  for (let triesLeft = 2; ; triesLeft--) {
    try {
      return await chromium.launch({ executablePath: EXECUTABLE, args: [...FLAGS, ...flags], ignoreDefaultArgs: ['--disable-back-forward-cache'] });
    } catch (error) {
      if (triesLeft === 0) throw error;
      console.log(`Chromium did not start: ${(error as Error).message.split('\n', 1)[0]}`);
    }
  }
}

/** A page of this origin; it has the file that the hub is to serve, and files of the examples. */
export async function open(origin: string, name = 'page.html'): Promise<Page> {
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  (page as any).errors = errors;
  await page.route(`${origin}/**`, (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname.endsWith('/nanostate.js')) {
      return route.fulfill({ contentType: 'text/javascript', body: readFileSync(path('js/dist/nanostate.js'), 'utf8') });
    }
    const text = '<!doctype html><script type="module">Object.assign(globalThis, await import("/nanostate.js"))</script>';
    const isExample = pathname.startsWith('/examples-js/');
    return route.fulfill({ contentType: 'text/html', body: isExample ? readFileSync(path(pathname.slice(1)), 'utf8') : text });
  });
  await page.goto(`${origin}/${name}`);
  return page;
}

/** Makes a client in a page. */
export async function join_(page: Page, identity: string, url: string) {
  await page.waitForFunction(() => 'Nanostate' in globalThis);
  await page.evaluate(([identity, url]) => {
    const global = globalThis as any;
    global.rejected = [];
    global.ns = new global.Nanostate(identity, url, { backoffMax: 200, log() {} });
    global.ns.onRejected(({ error }: any) => global.rejected.push(error.code));
  }, [identity, url]);
}

/** A value in words, in the program that has it. */
export function shown(state: State | undefined): string {
  if (!state) return 'nothing';
  const show = (value: any): string => {
    if (typeof value === 'bigint') return `${value}n`;
    if (value instanceof Date) return value.toISOString();
    if (value instanceof Uint8Array) return `[${value}]`;
    if (value?.data instanceof Uint8Array) return `ext ${value.type} ${show(value.data)}`;
    if (Array.isArray(value)) return `(${value.map(show)})`;
    if (value && typeof value === 'object') return `{${Object.entries(value).map(([k, v]) => `${k}:${show(v)}`)}}`;
    return String(value);
  };
  return `${state.sender} ${state.kind} ${show(state.value)}`;
}

const SHOWN = `globalThis.shown = ${shown}`;

export function inPage(page: Page, name: string): Promise<string> {
  return page.evaluate(([script, name]) => {
    const global = globalThis as any;
    if (!global.shown) (0, eval)(script!);
    return global.shown(global.ns.state(name));
  }, [SHOWN, name]);
}

/** Waits until a program has this. */
export async function eventually(get: () => string | Promise<string>, expected: string) {
  const end = Date.now() + BOUND;
  for (let last = await get(); last !== expected; last = await get()) {
    assert.ok(Date.now() < end, `${last} instead of ${expected}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
