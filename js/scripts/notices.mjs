// The licences of what is inside the command: of each crate, and of Rust's standard library.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

const LICENCE = /^(licen[cs]e|copying|copyright|notice|unlicen[cs]e)/i;
/** Most crates let one choose. */
const MIT = /^licen[cs]e[-.]mit/i;

/** All notices in one text. `features`: with which the command is built; `target`: for which. */
export function notices(root, features, target) {
  const run = (command, ...args) => execFileSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
  const flags = ['--locked', '--format-version', '1', '--no-default-features', '--features', features, '--filter-platform', target];
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
  const add = (name, folder) => {
    const files = existsSync(folder) ? readdirSync(folder, { withFileTypes: true }).filter((file) => file.isFile() && LICENCE.test(file.name)) : [];
    const chosen = files.some((file) => MIT.test(file.name)) ? files.filter((file) => MIT.test(file.name) || /^(notice|copyright)/i.test(file.name)) : files;
    if (chosen.length === 0) throw new Error(`no licence of ${name} in ${folder}`);
    for (const file of chosen) {
      const text = readFileSync(join(folder, file.name), 'utf8').trim();
      texts.set(text, [...(texts.get(text) ?? []), name]);
    }
  };
  const sysroot = run(process.env['RUSTC'] ?? 'rustc', '--print', 'sysroot').trim();
  add("Rust's standard library (MIT OR Apache-2.0)", join(sysroot, 'share/doc/rust'));
  for (const { name, version, license, manifest_path } of found) {
    add(`${name} ${version} (${license})`, dirname(manifest_path));
  }
  return [...texts].map(([text, names]) => `${names.join('\n')}\n\n${text}\n`).join(`\n${'-'.repeat(80)}\n\n`);
}
