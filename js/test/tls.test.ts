// Which hub a program in Node trusts over TLS, and how it says why it does not.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { after, afterEach, test } from 'node:test';
import { createServer, type TlsOptions } from 'node:tls';
import { WebSocket } from 'ws';
import { Nanostate as Page, type Options } from '../src/index.js';
import { Nanostate } from '../src/node.js';
import { Certificates, EXPIRED, NOT_YET, type Files } from './certificates.js';
import { Hub, Program, ROOT, until } from './support.js';

const certificates = new Certificates();
after(() => certificates.remove());
const ca = certificates.authority;
const other = certificates.selfSigned('other');

const open: { close(): unknown }[] = [];
function app(identity: string, url: string, options: Options): Nanostate {
  const client = new Nanostate(identity, url, { log: () => {}, backoffMax: 200, ...options });
  open.push(client);
  return client;
}
afterEach(() => Promise.all(open.splice(0).map((one) => one.close())));

const BOTH = ['tls+tcp://127.0.0.1:0', 'wss://127.0.0.1:0/ws'];

function hubWith({ chain, key }: Files, ...listen: string[]): Promise<Hub> {
  return Hub.startWith(['--tls-cert', chain, '--tls-key', key], ...listen);
}

/** Waits until there is no link for a reason, and returns it. */
async function why(client: Nanostate): Promise<string> {
  await until(() => client.link.code !== undefined, 'a reason');
  return `${client.link.code} ${client.link.text}`;
}

/** Waits until there is a link. */
async function linked(client: Nanostate) {
  client.send('linked', 1);
  await client.flush();
  await client.close();
}

test('programs with TLS, over sockets and WebSockets, and without it share states of every size', async () => {
  const files = certificates.issue('hub');
  let hub = await hubWith(files, ...BOTH, 'tcp://127.0.0.1:0');
  const [tls, wss, tcp] = hub.urls as [string, string, string];
  const clients = [
    app('secure', tls, { ca }),
    app('web', wss, { ca }),
    app('name', tls.replace('127.0.0.1', 'localhost'), { ca, pin: files.pin }),
    app('pinned', wss, { pin: `${'00'.repeat(32)}, sha256//${files.pin}` }),
    app('hex', tls, { pin: Buffer.from(files.pin, 'base64').toString('hex').toUpperCase().replace(/..\B/g, '$&:') }),
    app('plain', tcp, {}),
  ];
  const large = new Uint8Array(4 << 20).map((_, i) => i >> 10);
  for (const client of clients) client.send(`large/${client.identity}`, large);
  for (let i = 0; i < 2_000; i++) clients[1]!.send(`burst/${i % 50}`, i);
  await Promise.all(clients.map((client) => client.flush()));
  for (const reader of clients) {
    for (const { identity } of clients) {
      await until(() => reader.get(`large/${identity}`), `${identity} in ${reader.identity}`);
      assert.deepEqual(reader.get(`large/${identity}`), large);
    }
    await until(() => reader.get('burst/49') === 1_999, 'the newest');
  }
  await hub.kill();
  clients[1]!.send('meanwhile', 1);
  hub = await hubWith(files, ...hub.urls);
  for (const reader of clients) await until(() => reader.get('meanwhile') === 1, 'what was sent meanwhile');
  await Promise.all(clients.map((client) => client.close()));
  await hub.kill();
});

test('a certificate that is known itself is trusted, whoever issued it', async () => {
  for (const files of [certificates.selfSigned('self'), certificates.issue('leaf')]) {
    const hub = await hubWith(files, ...BOTH);
    for (const url of hub.urls) await linked(app('a', url, { ca: files.chain }));
    await Promise.all(open.splice(0).map((one) => one.close()));
    await hub.kill();
  }
});

test('a certificate or a key that does not fit is the reason for which there is no link', async () => {
  const files = certificates.issue('named', 'DNS:hub.example');
  const hub = await hubWith(files, ...BOTH);
  for (const url of hub.urls) {
    const reason = async (options: Options) => why(app('a', url, options));
    const issuer = await reason({ ca: other.chain });
    assert.equal(issuer, `NS_ERR_TLS the certificate is not issued by one of those in ${other.chain}: ${url}`);
    assert.equal(await reason({ ca }), `NS_ERR_TLS the certificate is not for the name 127.0.0.1: it has hub.example: ${url}`);
    const pin = `NS_ERR_TLS the public key of the hub is not the pinned one: its pin is ${files.pin}: ${url}`;
    assert.equal(await reason({ pin: other.pin }), pin);
    // Both have to fit.
    assert.match(await reason({ ca, pin: files.pin }), /not for the name/);
    assert.match(await reason({ ca: other.chain, pin: files.pin }), /not issued by/);
    await linked(app('pinned', url, { pin: files.pin }));
  }
  await Promise.all(open.splice(0).map((one) => one.close()));
  await hub.kill();
  const right = await hubWith(certificates.issue('right'), BOTH[0]!);
  assert.match(await why(app('a', right.url, { ca, pin: other.pin })), /not the pinned one/);
  await right.kill();
  // The common name is none of its names.
  const common = await hubWith(certificates.issue('localhost', 'IP:192.0.2.1'), BOTH[0]!);
  const reason = await why(app('b', common.url.replace('127.0.0.1', 'localhost'), { ca }));
  assert.match(reason, /^NS_ERR_TLS the certificate is not for the name localhost: it has 192\.0\.2\.1: /);
  await common.kill();
});

/** A server with TLS that is no hub. It counts the bytes that it gets. */
async function server({ chain, key }: Files, options: TlsOptions = {}): Promise<{ url: string; bytes(): number }> {
  let bytes = 0;
  const server = createServer({ cert: readFileSync(chain), key: readFileSync(key), ...options }, (socket) => {
    socket.on('data', (data) => (bytes += data.length));
    socket.on('error', () => {});
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push(server);
  return { url: `tls+tcp://127.0.0.1:${(server.address() as AddressInfo).port}`, bytes: () => bytes };
}

test('dates and the version of TLS are checked, and nothing is sent to a hub that is not trusted', async () => {
  const expired = certificates.issue('expired', undefined, EXPIRED);
  const before = await server(expired);
  assert.match(await why(app('a', before.url, { ca, token: 'x' })), /^NS_ERR_TLS the certificate has expired: /);
  assert.match(await why(app('b', before.url, { ca: expired.chain })), /^NS_ERR_TLS the certificate has expired: /);
  const later = await server(certificates.issue('later', undefined, NOT_YET));
  assert.match(await why(app('c', later.url, { ca })), /^NS_ERR_TLS the certificate is not valid yet: /);
  const old = await server(certificates.issue('old'), { maxVersion: 'TLSv1.2' });
  assert.match(await why(app('d', old.url, { ca })), /^NS_ERR_TLS the hub does not speak TLS 1\.3: /);
  const stranger = await server(other);
  assert.match(await why(app('e', stranger.url, { pin: expired.pin, token: 'x' })), /not the pinned one/);
  assert.match(await why(app('f', stranger.url, { ca, token: 'x' })), /not issued by/);
  assert.deepEqual([before.bytes(), later.bytes(), old.bytes(), stranger.bytes()], [0, 0, 0, 0]);
  // With a pin alone, dates do not matter: the header and the hello come.
  app('g', before.url, { pin: expired.pin });
  await until(() => before.bytes() > 0, 'a header');
});

test('who speaks TLS at an address without it, or the other way round, is told so', async () => {
  const hub = await hubWith(certificates.issue('mixed'), 'tls+tcp://127.0.0.1:0', 'tcp://127.0.0.1:0', 'ws://127.0.0.1:0/ws');
  const [tls, tcp, ws] = hub.urls as [string, string, string];
  for (const url of [`tls+${tcp}`, ws.replace('ws:', 'wss:')]) {
    assert.match(await why(app('a', url, { ca })), /^NS_ERR_TLS (the connection was closed in the TLS handshake|it does not speak TLS)/);
  }
  const plain = await why(app('b', tls.replace('tls+', ''), {}));
  assert.match(plain, /^NS_ERR_INVALID the other side speaks TLS, and this one does not at this address: /);
  await hub.kill();
});

test('what says whom to trust is checked at once', () => {
  const make = (options: Options, url = 'tls+tcp://127.0.0.1:1') => () => new Nanostate('a', url, options);
  const neither = { code: 'NS_ERR_TLS', message: 'neither ca ($NANOSTATE_TLS_CA) nor pin ($NANOSTATE_TLS_PIN) says which hub to trust: wss://127.0.0.1:1/ws' };
  assert.throws(make({}, 'wss://127.0.0.1:1/ws'), neither);
  assert.throws(make({ ca: '/missing' }), { code: 'NS_ERR_NOT_FOUND', message: 'not found: /missing' });
  assert.throws(make({ ca: certificates.folder }), { code: 'NS_ERR_IO', message: /EISDIR/ });
  const junk = certificates.write('junk', 'junk');
  assert.throws(make({ ca: junk }), { code: 'NS_ERR_TLS', message: `no certificate in the form of PEM: ${junk}` });
  const broken = certificates.write('broken', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
  assert.throws(make({ ca: broken }), { code: 'NS_ERR_TLS', message: `no certificate that can be used: ${broken}` });
  for (const pin of ['', 'x', 'ab'.repeat(31), `${other.pin}=`, other.pin.slice(1), `${other.pin},`]) {
    assert.throws(make({ pin }), { code: 'NS_ERR_INVALID', message: /is no pin: the SHA-256 of a public key/ }, pin);
  }
  for (const url of ['tls+tcp://host', 'tls+tcp://host:0', 'wss://', 'wss://user@host/ws', 'wss://host:0/', 'wss://host/ws#x']) {
    assert.throws(make({ ca }, url), { code: 'NS_ERR_URL' }, url);
  }
  assert.throws(make({ ca, WebSocket }, 'wss://host/ws'), { code: 'NS_ERR_INVALID', message: /of no use to the option WebSocket/ });
  assert.throws(() => new Page('a', 'wss://host/ws', { WebSocket, pin: other.pin }), { code: 'NS_ERR_UNSUPPORTED' });
});

test('the environment says whom to trust, unless the program does', async () => {
  const files = certificates.issue('environment');
  const hub = await hubWith(files, 'wss://127.0.0.1:0/ws');
  const text = `
    import { Nanostate } from ${JSON.stringify(new URL('js/build/src/node.js', ROOT).href)};
    const ns = new Nanostate('a', '${hub.url}', { ca: process.argv[2], log() {} });
    ns.onLink(({ state, text }) => state === 'connecting' && text === '' || (console.log(state, text), ns.close()));`;
  const line = (env: NodeJS.ProcessEnv, ...args: string[]) =>
    new Program(process.execPath, ['--input-type=module', '--eval', text, 'x', ...args], env).line();
  assert.match(await line({ NANOSTATE_TLS_CA: ca }), /^connected/);
  assert.match(await line({ NANOSTATE_TLS_PIN: files.pin, NANOSTATE_TLS_CA: '' }), /^connected/);
  assert.match(await line({ NANOSTATE_TLS_CA: ca, NANOSTATE_TLS_PIN: other.pin }), /not the pinned one/);
  assert.match(await line({ NANOSTATE_TLS_CA: '/missing' }, ca), /^connected/);
  await hub.kill();
});
