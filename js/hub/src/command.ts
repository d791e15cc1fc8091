// Which file is the command `nanostate`.

import { createRequire } from 'node:module';
import { HubError } from './error.js';

const require = createRequire(import.meta.url);
const PLATFORMS = '@nanostate/hub-';
/** Names the file, where it is not that of a package. */
const VARIABLE = 'NANOSTATE_COMMAND';

/** The command: what the environment names, else that of the package for this platform. */
export function command(): string {
  const named = process.env[VARIABLE];
  if (named) {
    return named;
  }
  const platform = `${process.platform}-${process.arch}`;
  try {
    return require.resolve(`${PLATFORMS}${platform}/bin/nanostate`);
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND' ? new HubError(absence(platform), null) : error;
  }
}

/** Why there is no command for this platform, and what to do. */
function absence(platform: string): string {
  const { optionalDependencies } = require('../package.json') as { optionalDependencies: Record<string, string> };
  const platforms = Object.keys(optionalDependencies).map((name) => name.slice(PLATFORMS.length));
  const why = platforms.includes(platform)
    ? `${PLATFORMS}${platform} is not installed: npm leaves it out with --omit=optional, and where there is no glibc, as in Alpine`
    : `there is no hub for ${platform} in @nanostate/hub, only for ${platforms.join(', ')}`;
  return `${why}; the environment variable ${VARIABLE} can name a command "nanostate" that was built here`;
}
