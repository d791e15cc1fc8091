// Two pages in Chromium, a Node program, one in C, and one in QML where it is built, on one hub.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Ext } from '../src/index.js';
import { KINDS, type Kind } from '../src/msgpack.js';
import { Nanostate } from '../src/node.js';
import { eventually, inPage, join_, open, shown } from './chromium.js';
import { WINDOW, Window } from './qml.js';
import { Hub, Program, compile } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'nanostate-together-'));
after(() => rmSync(folder, { recursive: true }));

/** What pages and Node send; and 22 as a double. */
const VALUES = `({
  text: 'für €', bytes: new Uint8Array([0, 255]), nil: null, bool: true, int: -5, big: 2n ** 53n, uint: 2n ** 64n - 1n,
  double: 0.25, array: [1, ['x', null]], map: { a: { b: [true] } }, time: new Date(1764000000123),
  ext: new Ext(5, new Uint8Array([1])),
})`;
const values = { ...new Function('Ext', `return ${VALUES}`)(Ext), whole: 22 };
const kindOf = (name: string) => (({ big: 'int', time: 'ext', whole: 'double' } as Record<string, Kind>)[name] ?? name) as Kind;
/** What C sends, in JSON. */
const OF_C: Record<string, string> = {
  text: '"für €"', bool: 'true', int: '-5', double: '0.25', whole: '22.0', array: '[1,["x",null]]', map: '{"a":{"b":[true]}}',
};
/** What QML sends: an expression of it. */
const OF_QML: Record<string, string> = {
  text: '"für €"', bytes: 'new Uint8Array([0, 255])', nil: 'null', bool: 'true', int: '-5', double: '0.25',
  array: '[1, ["x", null]]', map: '({ a: { b: [true] } })', time: 'new Date(1764000000123)',
};
/** What they are in QML, and in the C++ around it. */
const IN_QML: Record<string, string> = {
  text: 'QString für €', bytes: 'QByteArray [0,255]', nil: 'std::nullptr_t null', bool: 'bool true', int: 'qlonglong -5',
  big: 'qlonglong 9007199254740992', uint: 'qulonglong 18446744073709552000', double: 'double 0.25', whole: 'double 22',
  array: 'QVariantList (1,(x,null))', map: 'QVariantMap {a:{b:(true)}}', time: 'QDateTime 2025-11-24T16:00:00.123Z',
};

/** A program in C, which tells what comes. */
class App extends Program {
  readonly #states = new Map<string, string>();

  constructor(...args: string[]) {
    super(compile(folder, 'tests/peers/app.c'), args);
  }

  /** The number of the kind of a state, and its value: text as it is, other kinds in JSON. */
  get(sender: string, name: string): string {
    for (const line of this.lines.splice(0)) {
      const [, sender, name, kind, value] = /^state (\S+) (\S+) (\d+) \d+ (.*)$/.exec(line) ?? [];
      if (name) this.#states.set(`${sender} ${name}`, `${kind} ${value}`);
    }
    return this.#states.get(`${sender} ${name}`) ?? 'nothing';
  }
}

/** The number that nanostate.h gives a kind. */
const numberOf = (kind: Kind) => KINDS.indexOf(kind) + 1;

test('values of each kind go from each to each, and all get the newest after each of ten kills of the hub', async () => {
  let hub = await Hub.start('ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const [ws, tcp] = hub.urls as [string, string];
  const origin = `http://${new URL(ws).host}`;
  const pages = [await open(origin), await open(origin)] as const;
  await join_(pages[0], 'page1', ws);
  await join_(pages[1], 'page2', ws);
  const node = new Nanostate('node', tcp, { backoffMax: 200, log: () => {} });
  const c = new App(tcp, 'c', '200');
  const qml = WINDOW ? new Window('qml', tcp, 'qt/tests/qml/Together.qml') : undefined;
  const senders = ['page1', 'page2', 'node', 'c', ...(qml ? ['qml'] : [])];
  const inQml = (sender: string, name: string) => qml!.evaluate(`latest["${sender} ${name}"] || "nothing"`);

  /** Sends in pages: what `fn` makes of the identity. */
  const inPages = (fn: string) =>
    Promise.all(pages.map((page) => page.evaluate((fn) => (0, eval)(fn)((globalThis as any).ns), fn)));
  await inPages(`(ns) => {
    for (const [name, value] of Object.entries(${VALUES})) ns.send(ns.identity + '/' + name, value);
    ns.send(ns.identity + '/whole', 22, { type: 'double' });
  }`);
  for (const [name, value] of Object.entries(values)) {
    node.send(`node/${name}`, value as any, { type: name === 'whole' ? 'double' : undefined });
  }
  for (const [name, json] of Object.entries(OF_C)) c.write(`json c/${name} ${json}`);
  for (const [name, expression] of Object.entries(OF_QML)) {
    if (qml) assert.equal(await qml.evaluate(`hub.publish("qml/${name}", ${expression})`), true, name);
  }
  await qml?.evaluate('shareWhole()');

  for (const [name, value] of Object.entries(values)) {
    const kind = kindOf(name);
    for (const sender of senders) {
      if ((sender === 'c' && !(name in OF_C)) || (sender === 'qml' && !(name in OF_QML || name === 'whole'))) continue;
      const expected = shown({ sender, kind, value } as any);
      for (const page of pages) await eventually(() => inPage(page, `${sender}/${name}`), expected);
      await eventually(() => shown(node.state(`${sender}/${name}`)), expected);
      if (sender !== 'c' && name in OF_C) {
        const text = name === 'text' ? values[name] : OF_C[name];
        await eventually(() => c.get(sender, `${sender}/${name}`), `${numberOf(kind)} ${text}`);
      }
      if (qml && sender !== 'qml' && name in IN_QML) {
        const [type, text] = IN_QML[name]!.split(/ (.*)/) as [string, string];
        await eventually(() => inQml(sender, `${sender}/${name}`), text);
        assert.equal(await qml.type(sender, `${sender}/${name}`), type, `${sender}/${name}`);
      }
    }
  }
  for (const sender of senders.filter((sender) => sender !== 'c')) {
    await eventually(() => c.get(sender, `${sender}/time`), `${numberOf('ext')} "2025-11-24T16:00:00.123Z"`);
  }

  for (let round = 0; round < 10; round++) {
    hub = await hub.restart();
    await inPages(`(ns) => ns.send('round/' + ns.identity, ${round})`);
    node.send('round/node', round);
    c.write(`json round/c ${round}`);
    await qml?.evaluate(`hub.publish("round/qml", ${round})`);
    for (const sender of senders) {
      const expected = `${sender} int ${round}`;
      for (const page of pages) await eventually(() => inPage(page, `round/${sender}`), expected);
      await eventually(() => shown(node.state(`round/${sender}`)), expected);
      if (sender !== 'c') await eventually(() => c.get(sender, `round/${sender}`), `${numberOf('int')} ${round}`);
      if (qml && sender !== 'qml') await eventually(() => inQml(sender, `round/${sender}`), String(round));
    }
    // Each once, and none of them as a program of the original.
    const expected = { total: `${senders.length} peers, 0 of them old`, identities: [...senders].sort() };
    assert.deepEqual(await hub.peers(), expected);
  }
  for (const page of pages) {
    assert.deepEqual(await page.evaluate(() => (globalThis as any).counts), { now: 1, most: 1 }, 'one socket at a time');
    assert.deepEqual((page as any).errors, []);
    await page.close();
  }
  await qml?.kill();
  await node.close();
  await c.kill();
  await hub.kill();
});

test('an object reaches those who take it, and neither a program of the original nor one that takes texts only', async () => {
  const hub = await Hub.start('ws://127.0.0.1:0/ws', 'tcp://127.0.0.1:0');
  const [ws, tcp] = hub.urls as [string, string];
  const page = await open(`http://${new URL(ws).host}`);
  await join_(page, 'page', ws);
  const node = new Nanostate('node', tcp);
  const c = new App(tcp, 'c');
  const texts = new App(tcp, 'texts', '200', String(numberOf('text')));
  const old = new Program(compile(folder, 'tests/peers/nn_bus.c', '-lnanomsg'), [tcp, 'old']);
  const qml = WINDOW ? new Window('qml', tcp, 'qt/tests/qml/Together.qml') : undefined;
  const senders = ['page', 'node', 'c', ...(qml ? ['qml'] : [])];
  // A program of the original is sent only what comes while it is there.
  const everybody = ['an old program', 'texts', ...senders].sort().join();
  await eventually(async () => (await hub.peers()).identities.join(), everybody);

  const object = { a: { b: [true] }, n: 1 };
  const json = JSON.stringify(object);
  /** Has a program send the object, and then a text. */
  const send: Record<string, () => unknown> = {
    page: () => page.evaluate(([json]) => {
      const { ns } = globalThis as any;
      ns.send('page/object', JSON.parse(json!));
      return ns.flush().then(() => ns.send('page/text', 'end'));
    }, [json]),
    node: () => (node.send('node/object', object), node.flush().then(() => node.send('node/text', 'end'))),
    c: () => (c.write(`json c/object ${json}`), c.write('flush'), c.write('text c/text end')),
    qml: () => qml!.evaluate(`hub.publish("qml/object", (${json})) && hub.publish("qml/text", "end")`),
  };
  for (const sender of senders) {
    await send[sender]!();
    const expected = shown({ sender, kind: 'map', value: object } as any);
    await eventually(() => inPage(page, `${sender}/object`), expected);
    await eventually(() => shown(node.state(`${sender}/object`)), expected);
    if (sender !== 'c') await eventually(() => c.get(sender, `${sender}/object`), `${numberOf('map')} ${json}`);
    if (qml && sender !== 'qml') await eventually(() => qml.evaluate(`latest["${sender} ${sender}/object"] || ""`), '{a:{b:(true)},n:1}');
    // What comes behind it has come, and it has not.
    await eventually(() => texts.get(sender, `${sender}/text`), `${numberOf('text')} end`);
    assert.equal(texts.get(sender, `${sender}/object`), 'nothing');
    const [body, ...rest] = (await old.line()).split('\t');
    assert.deepEqual(rest, [sender, `${sender}/text`, 'text', 'end'], body);
  }
  await page.close();
  await qml?.kill();
  await node.close();
  for (const program of [c, texts, old, hub]) await program.kill();
});
