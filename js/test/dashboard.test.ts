// The dashboard of examples-js in Chromium: its table, and whether all of it can be read.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import type { Browser, Locator, Page } from 'playwright-core';
import { Nanostate } from '../src/node.js';
import { launch } from './chromium.js';
import { BOUND, Hub, path, until } from './support.js';

let browser: Browser;
let hub: Hub;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const clients: Nanostate[] = [];
function app(identity: string): Nanostate {
  const client = new Nanostate(identity, hub.urls[1], { log() {} });
  clients.push(client);
  return client;
}
afterEach(async () => {
  await hub?.kill();
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

async function start() {
  hub = await Hub.startWith(['--www', path('examples-js')], 'ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
}

/** The dashboard that the hub serves. */
async function visit(colorScheme: 'light' | 'dark' = 'light', width = 900): Promise<Page> {
  const page = await browser.newPage({ colorScheme, viewport: { width, height: 800 } });
  page.setDefaultTimeout(BOUND);
  page.on('pageerror', (error) => assert.fail(error));
  await page.goto(`http://${new URL(hub.url).host}/dashboard.html?${hub.url}`);
  return page;
}

const LONG = 'building/7/floor/3/room/kitchen/window/left/temperature';

/** The column of a table, from top to bottom. */
const column = (page: Page, name: string) => page.locator(`#states tbody .${name}`).allTextContents();

/** Waits until a column is this. */
async function shows(page: Page, name: string, expected: string[]) {
  for (const end = Date.now() + BOUND; ; ) {
    const texts = await column(page, name);
    if (texts.join('\n') === expected.join('\n') || Date.now() > end) return assert.deepEqual(texts, expected);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('the table of the dashboard has a row for each state, which it filters and sorts', async () => {
  await start();
  const [one, two] = [app('one'), app('two')];
  one.send('mem/total', 1536);
  one.send('n/10', 7);
  one.send('n/9', 30.25);
  two.send('n/9', 'text  in\nlines');
  two.send('bytes', new Uint8Array(3 << 20));
  two.send('map', { big: 2n ** 64n - 1n, bytes: new Uint8Array(2048), list: [null, true] });
  await Promise.all([one.flush(), two.flush()]);
  const page = await visit();
  const names = ['bytes', 'map', 'mem/total', 'n/9', 'n/9', 'n/10'];
  await shows(page, 'name', names);
  assert.deepEqual(await column(page, 'value'), [
    '3.0 MiB', '{"big":"18446744073709551615","bytes":"2.0 KiB","list":[null,true]}', '1.5 KiB', '30.25', 'text in lines', '7',
  ]);
  assert.deepEqual(await column(page, 'sender'), ['two', 'two', 'one', 'one', 'two', 'one']);
  assert.equal(await page.locator('#count').textContent(), '6');
  assert.equal(await page.locator('tr', { hasText: 'mem/total' }).locator('.value').getAttribute('title'), '1536');

  await page.locator('th.value button').click();
  await shows(page, 'value', ['7', '30.25', '1.5 KiB', '{"big":"18446744073709551615","bytes":"2.0 KiB","list":[null,true]}', '3.0 MiB', 'text in lines']);
  await page.locator('th.value button').click();
  assert.equal((await column(page, 'value')).at(-1), '7');
  assert.deepEqual(await page.locator('th').evaluateAll((all) => all.map((one: any) => one.ariaSort)), [null, 'descending', null, null]);
  await page.locator('th.sender button').click();
  await shows(page, 'sender', ['one', 'one', 'one', 'two', 'two', 'two']);
  await page.locator('th.name button').click();
  await page.locator('#filter').fill(' N/ ');
  await shows(page, 'name', ['n/9', 'n/9', 'n/10']);
  assert.equal(await page.locator('#count').textContent(), '3 of 6');
  await page.locator('#filter').fill('TWO');
  await shows(page, 'name', ['bytes', 'map', 'n/9']);

  // What was held is marked, until there is a new value of it.
  const marks = () => page.locator('tr.retained .name').allTextContents();
  assert.deepEqual(await marks(), ['bytes', 'map', 'n/9']);
  two.send('map', {});
  await page.locator('tr', { hasText: '{}' }).waitFor();
  assert.deepEqual(await marks(), ['bytes', 'n/9']);
  await page.locator('th.age button').click();
  const age = (name: string) => -two.state(name, 'two')!.time;
  await shows(page, 'name', ['map', 'n/9', 'bytes'].sort((a, b) => age(a) - age(b) || a.localeCompare(b)));
  await page.close();
});

test('what is withdrawn goes from the table, the figures and the controls, and from other pages', async () => {
  await start();
  const [one, two] = [app('one'), app('two')];
  const values = { 'cpu/load': 1.5, 'mem/total': 4096, 'mem/available': 1024, 'dashboard/switch': true, 'dashboard/text': 'a text', image: new Uint8Array(readFileSync(path('docs/images/page.png'))), volume: 20, chat: 'hi' };
  for (const [name, value] of Object.entries(values)) one.send(name, value);
  two.send('cpu/load', 2);
  await Promise.all([one.flush(), two.flush()]);
  const page = await visit();
  const names = Object.keys(values).sort();
  await shows(page, 'name', [...names, 'cpu/load'].sort());
  await page.locator('#memory', { hasText: '3.0 KiB' }).waitFor();
  await page.locator('#image').waitFor();
  await page.locator('#switch:checked').waitFor();
  const others = await Promise.all(['slider', 'image', 'chat'].map(async (name) => {
    const other = await browser.newPage();
    other.setDefaultTimeout(BOUND);
    other.on('pageerror', (error) => assert.fail(error));
    await other.goto(`http://${new URL(hub.url).host}/${name}.html?${hub.url}`);
    return other;
  }));
  const [slider, image, chat] = others as [Page, Page, Page];
  await slider.locator('#value', { hasText: '20' }).waitFor();
  await image.waitForFunction(() => document.querySelector('img')!.naturalWidth > 0);
  await chat.locator('li', { hasText: 'one: hi' }).waitFor();
  for (const name of names) one.clear(name);
  await shows(page, 'name', ['cpu/load']);
  assert.deepEqual(await column(page, 'sender'), ['two']);
  assert.equal(await page.locator('#count').textContent(), '1');
  two.clear('cpu/load');
  await shows(page, 'name', []);
  await page.locator('#load', { hasText: /^-$/ }).waitFor();
  await page.locator('#memory', { hasText: /^-$/ }).waitFor();
  assert.deepEqual([await page.locator('#switch').isChecked(), await page.locator('#text').inputValue(), await page.locator('#image').isVisible()], [false, '', false]);
  assert.equal(await page.locator('#image-by').textContent(), '');
  await slider.locator('#value', { hasText: '50' }).waitFor();
  await image.waitForFunction(() => !document.querySelector('img')!.hasAttribute('src'));
  two.send('chat', 'the end');
  await chat.locator('li', { hasText: 'two: the end' }).waitFor();
  assert.deepEqual(await chat.locator('li').allTextContents(), ['one: hi', 'two: the end']);
  for (const one of [page, ...others]) await one.close();
});

test('what was set by a program that is gone says so, in the table, the figures and the controls, until somebody sets it anew', async () => {
  await start();
  const [stays, ends] = [app('stays'), app('ends')];
  const values = { 'cpu/load': 1.5, 'mem/total': 4096, 'mem/available': 1024, 'dashboard/switch': true, 'dashboard/text': 'a text', 'dashboard/span': 40, image: new Uint8Array(3) };
  for (const [name, value] of Object.entries(values)) ends.send(name, value);
  stays.send('other', 1);
  await Promise.all([stays.flush(), ends.flush()]);
  const page = await visit();
  await page.locator('#count', { hasText: /^8$/ }).waitFor();
  await page.locator('#image-by', { hasText: 'which is no image' }).waitFor();
  // What a rate is takes two states, of other milliseconds.
  for (let sum = 0, end = Date.now() + BOUND; (await page.locator('#received').textContent()) === '-'; ) {
    assert.ok(Date.now() < end, 'a rate');
    ends.send('net/eth0/rx', (sum += 1000));
    ends.send('net/eth0/tx', sum);
  }
  const rows = () => page.locator('tr.stale .name').allTextContents();
  const marked = () => page.locator('.stale:not(tr)').evaluateAll((all) => (all as any[]).map(({ id, textContent }) => id || textContent.trim()));
  assert.deepEqual([await rows(), await marked()], [[], []]);
  await ends.close();
  const names = [...Object.keys(values), 'net/eth0/rx', 'net/eth0/tx'].sort();
  await page.waitForFunction((count) => document.querySelectorAll('tr.stale').length === count, names.length);
  await page.waitForFunction(() => document.querySelectorAll('.stale:not(tr)').length === 9);
  assert.deepEqual(await rows(), names);
  assert.deepEqual(await marked(), ['load', 'memory', 'received', 'sent', 'by', 'Switch', 'Text', 'image', 'image-by']);
  const age = page.locator('tr.stale .age').first();
  assert.match((await age.getAttribute('title'))!, /the program that set it is gone$/);
  // Somebody else, this page, and the hub that ends: which makes nothing stale.
  stays.send('cpu/load', 2);
  await page.locator('#switch').click();
  await page.locator('#load', { hasText: '2.00' }).waitFor();
  await page.waitForFunction(() => !document.querySelector('#load.stale, label.stale #switch'));
  await hub.kill();
  await page.locator('#status', { hasText: 'no connection' }).waitFor();
  assert.deepEqual(await marked(), ['memory', 'received', 'sent', 'by', 'Text', 'image', 'image-by']);
  assert.ok(!(await rows()).includes('other'));
  await page.close();
});

test('a long name keeps its beginning and its end, and is whole in its tooltip, in wide pages and in narrow ones', async () => {
  await start();
  const one = app('one');
  one.send(LONG, 1);
  one.send('short', 2);
  await one.flush();
  for (const width of [900, 360]) {
    const page = await visit('light', width);
    const name = page.locator('tr', { hasText: 'temperature' }).locator('.name');
    await name.waitFor();
    assert.deepEqual([await name.textContent(), await name.getAttribute('title')], [LONG, LONG]);
    const parts = await name.locator('span > span').evaluateAll((parts) =>
      (parts as any[]).map((part) => [part.textContent, part.scrollWidth > part.clientWidth, part.clientWidth > 20]),
    );
    assert.deepEqual(parts, [[LONG.slice(0, -12), true, true], ['/temperature', false, true]], `${width}`);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${width}: ${overflow} too wide`);
    await page.close();
  }
});

test('a table of very many states shows the first of them, and finds the others', async () => {
  await start();
  const one = app('one');
  for (let i = 0; i < 2_000; i++) one.send(`n/${i}`, i);
  await one.flush();
  const page = await visit();
  await page.locator('#count', { hasText: '2000, the first 200 are shown' }).waitFor();
  assert.deepEqual((await column(page, 'name')).slice(-2), ['n/198', 'n/199']);
  await page.locator('#filter').fill('n/1999');
  await shows(page, 'name', ['n/1999']);
  await page.close();
});

test('a switch, a text and an image are what anybody has set last, in the page and elsewhere', async () => {
  await start();
  const one = app('one');
  one.send('dashboard/switch', true);
  await one.flush();
  const page = await visit();
  const [toggle, text, image, about] = ['#switch', '#text', '#image', '#image-by'].map((id) => page.locator(id)) as [Locator, Locator, Locator, Locator];
  await page.locator('#switch:checked').waitFor();
  await toggle.click();
  await until(() => one.get('dashboard/switch') === false, 'the switch of the page');
  one.send('dashboard/switch', true);
  await page.locator('#switch:checked').waitFor();

  await text.fill('für €');
  await until(() => one.get('dashboard/text') === 'für €', 'the text of the page');
  one.send('dashboard/text', 'from one');
  await page.waitForFunction(() => (document.querySelector('#text') as any).value === 'from one');
  // The page goes on with it.
  await text.press('End');
  await text.pressSequentially('!');
  await until(() => one.get('dashboard/text') === 'from one!', 'a letter more');
  one.send('dashboard/text', 7);
  await page.waitForFunction(() => (document.querySelector('#text') as any).value === '7');

  const picture = readFileSync(path('docs/images/page.png'));
  await page.locator('#file').setInputFiles(path('docs/images/page.png'));
  await until(() => one.get('image'), 'the image of the page');
  assert.deepEqual(one.get('image'), new Uint8Array(picture));
  await about.filter({ hasText: /^[\d.]+ KiB from dashboard-\w+$/ }).waitFor();
  await image.waitFor();
  assert.ok(await image.evaluate((one: any) => one.naturalWidth > 0));
  one.send('image', new Uint8Array(2048));
  await about.filter({ hasText: /^2\.0 KiB from one, which is no image$/ }).waitFor();
  assert.ok(!(await image.isVisible()));
  one.send('image', new Uint8Array(picture));
  await image.waitFor();

  await hub.kill();
  await page.locator('#status', { hasText: 'no connection' }).waitFor();
  for (const id of ['#switch', '#text', '#file', '#span']) assert.ok(await page.locator(id).isDisabled(), id);
  await page.close();
});

/** In the page: each text whose contrast to what is behind it is less than 4.5 to 1, with the figure. */
function tooFaint(): { texts: number; faint: string[] } {
  type Color = [number, number, number, number];
  const colorOf = (text: string): Color => {
    const [, r, g, b, a = '1'] = /^rgba?\((\d+), (\d+), (\d+)(?:, ([\d.]+))?\)$/.exec(text)!;
    return [Number(r), Number(g), Number(b), Number(a)];
  };
  const over = ([r, g, b, a]: Color, [x, y, z]: Color): Color => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1];
  const luminance = ([r, g, b]: Color) => {
    const [x, y, z] = [r, g, b].map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x! + 0.7152 * y! + 0.0722 * z!;
  };
  const contrast = (a: Color, b: Color) => {
    const [dark, light] = [luminance(a), luminance(b)].sort((a, b) => a - b);
    return (light! + 0.05) / (dark! + 0.05);
  };
  const global = globalThis as any;
  const styleOf = (element: any, pseudo?: string) => global.getComputedStyle(element, pseudo);
  const behind = (element: any): Color => {
    if (!element) return [255, 255, 255, 1];
    const color = colorOf(styleOf(element).backgroundColor);
    return color[3] === 1 ? color : over(color, behind(element.parentElement));
  };
  /** How much of an element is seen. */
  const opacity = (element: any): number => (element ? Number(styleOf(element).opacity) * opacity(element.parentElement) : 1);
  const faint: string[] = [];
  let texts = 0;
  const check = (element: any, text: string, pseudo?: string) => {
    const background = behind(element);
    const [r, g, b, a] = colorOf(styleOf(element, pseudo).color);
    const figure = contrast(over([r, g, b, a * opacity(element) * (pseudo ? Number(styleOf(element, pseudo).opacity) : 1)], background), background);
    texts++;
    if (figure < 4.5) faint.push(`${text.slice(0, 40)}: ${figure.toFixed(2)}`);
  };
  for (const element of global.document.querySelectorAll('body *')) {
    if (!element.checkVisibility() || ['SCRIPT', 'STYLE'].includes(element.tagName)) continue;
    const own = [...element.childNodes].filter((node: any) => node.nodeType === 3).map((node: any) => node.data).join('').trim();
    if (own) check(element, own);
    for (const pseudo of ['::before', '::after']) {
      const { content } = styleOf(element, pseudo);
      if (!['none', 'normal', '""'].includes(content)) check(element, content, pseudo);
    }
    if (element.placeholder) check(element, element.placeholder, '::placeholder');
    if (element.value && ['text', 'search'].includes(element.type)) check(element, element.value);
  }
  return { texts, faint };
}

for (const scheme of ['light', 'dark'] as const) {
  test(`each text of the dashboard stands out 4.5 to 1 in the ${scheme} theme, with and without a hub`, async () => {
    await start();
    const [one, ends] = [app('one'), app('ends')];
    for (const [name, value] of [['cpu/load', 1.5], ['mem/total', 4096], ['mem/available', 1024], [LONG, 1]] as const) one.send(name, value);
    for (const [name, value] of [['dashboard/text', 'a text'], ['dashboard/switch', true], ['dashboard/span', 40], ['cpu/load', 2]] as const) ends.send(name, value);
    await Promise.all([one.flush(), ends.flush()]);
    const page = await visit(scheme);
    await page.locator('#count', { hasText: /^8$/ }).waitFor();
    await ends.close();
    await page.waitForFunction(() => document.querySelectorAll('tr.stale').length === 4 && document.querySelectorAll('.stale:not(tr)').length >= 3);
    await page.locator('#status', { hasText: /^$/ }).waitFor({ state: 'attached' });
    const connected = await page.evaluate(tooFaint);
    assert.deepEqual(connected.faint, []);
    assert.ok(connected.texts > 20, `${connected.texts}`);
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.equal(background, scheme === 'light' ? 'rgb(243, 245, 247)' : 'rgb(14, 18, 24)');
    await hub.kill();
    await page.locator('#status', { hasText: 'no connection' }).waitFor();
    assert.ok(await page.locator('#span').isDisabled());
    const disconnected = await page.evaluate(tooFaint);
    assert.deepEqual(disconnected.faint, []);
    assert.ok(disconnected.texts > connected.texts, 'the reason is shown, too');
    await page.close();
  });
}
