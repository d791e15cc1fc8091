// Packs what is published into FOLDER: @nanostate/client, and, with a COMMAND that was built for TARGET, @nanostate/hub and
// the package that carries it.
//
//   node scripts/pack.mjs FOLDER [COMMAND TARGET]    TARGET: in Rust's words, one of those below

import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { notices } from './notices.mjs';

/** For each target the folder in hub/platforms. */
const PLATFORMS = { 'x86_64-unknown-linux-gnu': 'linux-x64' };

const js = fileURLToPath(new URL('..', import.meta.url));
const [folder, command, target] = process.argv.slice(2);
if (folder === undefined || (command !== undefined && !(target in PLATFORMS))) {
  console.error(`usage: pack.mjs FOLDER [COMMAND TARGET]; TARGET: ${Object.keys(PLATFORMS).join(', ')}`);
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
// In copies: what lies in js/ may be older than the source, and others may pack at the same time.
const work = mkdtempSync(join(tmpdir(), 'nanostate-pack-'));

/** Packs the package of a folder with its licence and what `build` adds to the copy. */
function pack(from, build) {
  const copy = mkdtempSync(join(work, 'package-'));
  for (const name of ['package.json', 'README.md']) copyFileSync(join(from, name), join(copy, name));
  copyFileSync(join(js, 'LICENSE'), join(copy, 'LICENSE'));
  build(copy);
  const archive = execFileSync('npm', ['pack', '--silent', '--pack-destination', resolve(folder)], { cwd: copy, encoding: 'utf8' });
  console.log(join(folder, archive.trim()));
}

function node(...args) {
  execFileSync(process.execPath, args, { cwd: js, stdio: 'inherit' });
}

try {
  pack(js, (copy) => node('scripts/build.mjs', join(copy, 'dist')));
  if (command !== undefined) {
    pack(join(js, 'hub'), (copy) => node('node_modules/typescript/bin/tsc', '-p', 'hub', '--outDir', join(copy, 'dist')));
    pack(join(js, 'hub/platforms', PLATFORMS[target]), (copy) => {
      writeFileSync(join(copy, 'NOTICES.txt'), notices(join(js, '..'), target));
      mkdirSync(join(copy, 'bin'));
      copyFileSync(command, join(copy, 'bin/nanostate'));
      chmodSync(join(copy, 'bin/nanostate'), 0o755);
    });
  }
} finally {
  rmSync(work, { recursive: true });
}
