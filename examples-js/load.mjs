// Publishes the load of this machine, and shows what others publish: node examples-js/load.mjs [URL]
//
// In this repository (cd js && npm ci && npm run build) and (cd examples-js && npm install) come first; elsewhere
// npm install @nanostate/client.

import { cpus, freemem, hostname, loadavg, totalmem } from 'node:os';
import { Nanostate } from '@nanostate/client';

const ns = new Nanostate(`load-${hostname()}`, process.argv[2]);

ns.onLink(({ state, text }) => console.error(`${state}: ${text}`));
ns.on('**', ({ sender, name, kind, value }) => console.log(`${sender} ${name}`, kind === 'cleared' ? 'is withdrawn' : value));

function publish() {
  ns.send('cpu/load', loadavg()[0], { type: 'double' });
  ns.send('cpu/count', cpus().length);
  ns.send('mem/used', totalmem() - freemem());
}

publish();
const timer = setInterval(publish, 1000);

process.once('SIGINT', async () => {
  clearInterval(timer);
  await ns.close();
});
