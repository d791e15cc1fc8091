// Bun and Deno, which scripts/setup installs from npm.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Nanostate } from '../src/node.js';
import { Certificates } from './certificates.js';
import { Hub, Program, ROOT, until } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'nanostate-runtimes-'));
const certificates = new Certificates();
after(() => {
  rmSync(folder, { recursive: true });
  certificates.remove();
});
const MODULE = JSON.stringify(new URL('js/build/src/node.js', ROOT).href);

/** Shares a value over each address, then says why there is no link to the last of them with other options. */
const PROGRAM = (runtime: string) => `
  import { Nanostate } from ${MODULE};
  const { urls, wrong } = JSON.parse((globalThis.Deno ? Deno.args : process.argv.slice(2))[0]);
  for (const [number, url] of urls.entries()) {
    const ns = new Nanostate('${runtime}', url);
    ns.send(\`from/\${number}\`, { number, big: 2n ** 60n });
    await ns.flush({ timeout: 60000 });
    for await (const { value } of ns.states('to')) { console.log(value); break; }
    await ns.close();
  }
  for (const { url, says, ...options } of wrong) {
    const ns = new Nanostate('${runtime}', url, { ...options, log() {} });
    ns.send('never', 1);
    await new Promise((resolve) => ns.link.code ? resolve() : ns.onLink(({ state, code }) => (code || state === 'connected') && resolve()));
    console.log(ns.link.state, ns.link.text);
    await ns.close();
  }`;

for (const runtime of ['bun', 'deno']) {
  const found = spawnSync(runtime, ['--version']).status === 0;
  test(`${runtime} shares states over each transport, and trusts no other hub`, { skip: !found && 'it is not installed' }, async () => {
    const files = certificates.issue(`of-${runtime}`);
    const named = certificates.issue(`named-${runtime}`, 'DNS:hub.example');
    const other = certificates.selfSigned(`other-${runtime}`);
    const tls = ({ chain, key }: typeof files) => ['--tls-cert', chain, '--tls-key', key];
    const listen = ['tcp://127.0.0.1:0', `ipc://${folder}/${runtime}.sock`, 'ws://127.0.0.1:0/ws', 'tls+tcp://127.0.0.1:0', 'wss://127.0.0.1:0/ws'];
    const hub = await Hub.startWith(tls(files), ...listen);
    const elsewhere = await Hub.startWith(tls(named), 'tls+tcp://127.0.0.1:0');
    const urls = hub.urls;
    const wrong = urls.slice(3).flatMap((url) => [
      { url, ca: other.chain, says: 'the certificate is not issued by one of those in ' },
      { url, pin: other.pin, says: 'the public key of the hub is not the pinned one: its pin is ' },
    ]);
    const ca = certificates.authority;
    wrong.push({ url: elsewhere.url, ca, says: 'the certificate is not for the name 127.0.0.1: it has hub.example' });
    const file = join(folder, `${runtime}.mjs`);
    writeFileSync(file, PROGRAM(runtime));
    const node = new Nanostate('node', hub.url);
    node.on('**', () => {});
    node.send('to', 'you');
    const args = [...(runtime === 'deno' ? ['run', '-A', file] : [file]), JSON.stringify({ urls, wrong })];
    const program = new Program(runtime, args, { NANOSTATE_TLS_CA: ca });
    for (let number = 0; number < urls.length; number++) {
      assert.equal(await program.line(), 'you', urls[number]);
      await until(() => node.get(`from/${number}`), 'a value');
      assert.deepEqual(node.get(`from/${number}`), { number, big: 2n ** 60n });
    }
    for (const { url, says } of wrong) {
      const line = await program.line();
      assert.ok(line.startsWith(`connecting ${says}`) && line.endsWith(`: ${url}`), line);
    }
    assert.equal(await program.ended(), 0);
    assert.equal(node.get('never'), undefined);
    await node.close();
    await Promise.all([hub.kill(), elsewhere.kill()]);
  });
}
