// Builds dist/: the modules with their types, and for browsers all of it in one file, nanostate.js, and the functions of
// the original as a classic script, nanostate-compat.js. These two are committed so that the hub can be built without
// Node.
//
//   node scripts/build.mjs [FOLDER]    FOLDER: instead of dist

import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

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
for (const [file, begins] of Object.entries(files)) {
  await build({
    ...begins,
    outfile: `${out}/${file}`,
    bundle: true,
    minify: true,
    platform: 'browser',
    target: 'es2022',
    banner: { js: `// nanostate ${version} for browsers: made from js/src by \`npm run build\`. MIT licence.` },
  });
}
