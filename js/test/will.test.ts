// What a program leaves with the hub for the time when it is lost. Node programs on a real hub.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Nanostate } from '../src/node.js';
import { Hub, Program, until } from './support.js';

/** A program with wills, which the hub has once it prints so. It closes its client at the end of its input. */
function leaver(identity: string, url: string): Program {
  const library = new URL('../src/node.js', import.meta.url).href;
  const code = `
    import { Nanostate } from ${JSON.stringify(library)};
    const ns = new Nanostate('${identity}', '${url}');
    ns.send('on', true);
    ns.send('seen', 1);
    ns.will('on', 'taken back');
    ns.noWill('on');
    ns.will('on', false);
    ns.will('level', 1, { type: 'double' });
    ns.willClear('seen');
    await ns.flush();
    console.log('left');
    process.stdin.on('end', () => ns.close()).resume();
  `;
  return new Program(process.execPath, ['--input-type=module', '--eval', code]);
}

test('the will of a program that is killed is published, and that of one that closes its client is not', async () => {
  const hub = await Hub.start();
  const observer = new Nanostate('observer', hub.url);
  const heard: string[] = [];
  observer.on('**', ({ sender, name, kind, value }) => heard.push(`${sender} ${name} ${kind} ${value}`));
  const [killed, closes] = [leaver('killed', hub.url), leaver('closes', hub.url)];
  for (const program of [killed, closes]) assert.equal(await program.line(), 'left');
  closes.process.stdin!.end();
  assert.equal(await closes.ended(), 0);
  await killed.kill();
  const published = () => heard.filter((line) => !/ (true|1)$/.test(line) || line.includes('double'));
  await until(() => published().length === 3, 'three wills');
  assert.deepEqual(published().sort(), ['killed level double 1', 'killed on bool false', 'killed seen cleared undefined']);
  // That of the one that closed its client would have come by now.
  await until(() => observer.get('on', 'killed') === false, 'the value');
  assert.equal(observer.get('on', 'closes'), true);
  await observer.close();
  await hub.kill();
});

test('a program may leave so much, and no value that there is not', async () => {
  const ns = new Nanostate('app', 'ws://127.0.0.1:9', { log() {} });
  assert.throws(() => ns.will('x', undefined as never), TypeError);
  assert.throws(() => ns.will('', 1), { code: 'NS_ERR_NAME' });
  assert.throws(() => ns.willClear('$ns/x'), { code: 'NS_ERR_NAME' });
  assert.throws(() => ns.will('x', 'x'.repeat(1 << 20)), { code: 'NS_ERR_FULL' });
  for (let n = 0; n < 1000; n++) ns.will(`${n}`, null);
  assert.throws(() => ns.will('x', 1), { code: 'NS_ERR_FULL', message: '"x" would be one will too many: 1000 are left' });
  ns.noWill('7');
  ns.will('x', 1);
  await ns.close();
  assert.throws(() => ns.noWill('x'), { code: 'NS_ERR_CLOSED' });
});
