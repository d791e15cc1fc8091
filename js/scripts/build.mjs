// Builds dist/: the modules with their types, and all of it for browsers in one file, nanostate.js, which is committed so
// that the hub can be built without Node.
//
//   node scripts/build.mjs [FOLDER]    FOLDER: instead of dist

import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = process.argv[2] ?? `${root}/dist`;
const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));

for (const file of out === `${root}/dist` ? readdirSync(out) : []) {
  if (file !== 'nanostate.js') rmSync(`${out}/${file}`, { recursive: true });
}
execFileSync(process.execPath, [`${root}/node_modules/typescript/bin/tsc`, '-p', root, '--outDir', out], { stdio: 'inherit' });
await build({
  entryPoints: [`${root}/src/index.ts`],
  outfile: `${out}/nanostate.js`,
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  banner: { js: `// nanostate ${version} for browsers: made from js/src by \`npm run build\`. MIT licence.` },
});
