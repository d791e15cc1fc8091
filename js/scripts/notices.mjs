// The licences of what is inside the command: of each crate, and of Rust's standard library.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

const LICENCE = /^(licen[cs]e|copying|copyright|notice|unlicen[cs]e)/i;
/** Most crates let one choose. */
const MIT = /^licen[cs]e[-.]mit/i;
const NOTICE = /^(copyright|notice)/i;

/** All notices in one text, for the command as it is built for `target`. */
export function notices(root, target) {
  const run = (command, ...args) => execFileSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
  const flags = ['--locked', '--format-version', '1', '--filter-platform', target];
  const { packages, resolve } = JSON.parse(run(process.env['CARGO'] ?? 'cargo', 'metadata', ...flags));
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
  const found = new Set();
  const visit = (id) => {
    for (const { pkg, dep_kinds } of nodes.get(id).deps) {
      const crate = packages.find((one) => one.id === pkg);
      const isInside = dep_kinds.some(({ kind }) => kind === null) && !crate.targets.some(({ kind }) => kind.includes('proc-macro'));
      if (isInside && !found.has(crate)) {
        found.add(crate);
        visit(pkg);
      }
    }
  };
  visit(resolve.root);

  /** Each text, with those whose it is. */
  const texts = new Map();
  const add = (name, text) => texts.set(text.trim(), [...(texts.get(text.trim()) ?? []), name]);
  for (const { name, version, license, manifest_path } of found) {
    for (const file of licences(dirname(manifest_path))) {
      add(`${name} ${version} (${license})`, readFileSync(file, 'utf8'));
    }
  }
  // Where it is depends on the version of Rust, and some distributions leave it out.
  const documents = join(run(process.env['RUSTC'] ?? 'rustc', '--print', 'sysroot').trim(), 'share/doc/rust');
  const file = ['licenses/MIT.txt', 'LICENSE-MIT'].map((name) => join(documents, name)).find(existsSync);
  const text = file === undefined ? 'https://www.rust-lang.org/policies/licenses' : readFileSync(file, 'utf8');
  add("Rust's standard library (MIT OR Apache-2.0), by the Rust project contributors", text);
  return [...texts].map(([text, names]) => `${names.join('\n')}\n\n${text}\n`).join(`\n${'-'.repeat(80)}\n\n`);
}

/** The files with the licence of a crate. */
function licences(folder) {
  const files = readdirSync(folder, { withFileTypes: true }).filter((file) => file.isFile() && LICENCE.test(file.name));
  const names = files.map((file) => file.name);
  const chosen = names.some((name) => MIT.test(name)) ? names.filter((name) => MIT.test(name) || NOTICE.test(name)) : names;
  if (chosen.length === 0) throw new Error(`no licence in ${folder}`);
  return chosen.map((name) => join(folder, name));
}
