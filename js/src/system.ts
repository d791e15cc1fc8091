// The errors of the system, by the names that Node gives them.

import type { Code } from './status.js';

const CODES: Record<string, Code> = {
  ECONNREFUSED: 'NS_ERR_REFUSED',
  ENOENT: 'NS_ERR_NOT_FOUND',
  EACCES: 'NS_ERR_PERMISSION',
  EPERM: 'NS_ERR_PERMISSION',
  ETIMEDOUT: 'NS_ERR_TIMEOUT',
  ENOTFOUND: 'NS_ERR_RESOLVE',
  EAI_AGAIN: 'NS_ERR_RESOLVE',
};

export function codeOfSystem({ code = '' }: NodeJS.ErrnoException): Code {
  return CODES[code] ?? 'NS_ERR_IO';
}
