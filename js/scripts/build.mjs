// Builds dist/: the modules with their types, and for browsers all of it in one file, nanostate.js, and the functions of
// the original as a classic script, nanostate-compat.js. These two are committed so that the hub can be built without
// Node.
//
//   node scripts/build.mjs [FOLDER]    FOLDER: instead of dist

import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = process.argv[2] ?? `${root}/dist`;
const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));

/** What browsers load: its file, and how it begins. */
const files = {
  'nanostate.js': { format: 'esm', entryPoints: [`${root}/src/index.ts`] },
  'nanostate-compat.js': {
    format: 'iife',
    stdin: { contents: `import * as all from './src/compat.ts'; Object.assign(globalThis, all);`, resolveDir: root },
  },
};

for (const file of out === `${root}/dist` ? readdirSync(out) : []) {
  if (!(file in files)) rmSync(`${out}/${file}`, { recursive: true });
}
execFileSync(process.execPath, [`${root}/node_modules/typescript/bin/tsc`, '-p', root, '--outDir', out], { stdio: 'inherit' });
/** Properties that no program sees, and no browser has: they get short names. browser.test.ts checks that. */
const internal = JSON.parse(readFileSync(`${root}/scripts/internal-names.json`, 'utf8'));
const banner = `// nanostate ${version} for browsers: made from js/src by \`npm run build\`. MIT licence.`;
for (const [file, begins] of Object.entries(files)) {
  const { outputFiles } = await build({
    ...begins,
    bundle: true,
    minify: true,
    mangleProps: new RegExp(`^(${internal.join('|')})$`),
    platform: 'browser',
    target: 'es2022',
    write: false,
  });
  // Terser finds a few hundred bytes more.
  const { code } = await minify(outputFiles[0].text, {
    module: begins.format === 'esm',
    ecma: 2022,
    compress: { passes: 3 },
    format: { preamble: banner },
  });
  writeFileSync(`${out}/${file}`, `${code}\n`);
}
