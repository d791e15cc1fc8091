// Certificates that a test makes for itself, with openssl, as tests/support/certificates.rs makes them.

import { X509Certificate, createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Between which times a certificate is valid. */
export const VALID = ['20200101000000Z', '21200101000000Z'] as const;
export const EXPIRED = ['20200101000000Z', '20210101000000Z'] as const;
export const NOT_YET = ['21190101000000Z', '21200101000000Z'] as const;
export const LOCAL = 'DNS:localhost,IP:127.0.0.1,IP:::1';

const CONFIG = `
[ca]
default_ca = own
[own]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = policy
unique_subject = no
copy_extensions = copy
[policy]
commonName = supplied
[req]
distinguished_name = name
[name]
`;
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** The files of a certificate and its key. */
export interface Files {
  chain: string;
  key: string;
  /** What pins its public key, in base64. */
  pin: string;
}

export class Certificates {
  readonly folder = mkdtempSync(join(tmpdir(), 'nanostate-tls-'));
  readonly authority = join(this.folder, 'ca.pem');

  constructor() {
    this.write('own.cnf', CONFIG);
    this.write('index.txt', '');
    this.write('serial', '01');
    const ca = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=keyCertSign'];
    this.#openssl('req', '-x509', '-config', 'own.cnf', ...KEY, '-subj', '/CN=authority', ...ca, '-keyout', 'ca.key', '-out', 'ca.pem');
  }

  remove() {
    rmSync(this.folder, { recursive: true });
  }

  /** A file with this content. */
  write(name: string, content: string): string {
    writeFileSync(join(this.folder, name), content);
    return join(this.folder, name);
  }

  /** One that the authority has issued. */
  issue(name: string, names = LOCAL, [from, to]: readonly [string, string] = VALID): Files {
    const [csr, chain, key] = ['csr', 'pem', 'key'].map((ending) => `${name}.${ending}`) as [string, string, string];
    const san = ['-addext', `subjectAltName=${names}`];
    this.#openssl('req', '-new', '-config', 'own.cnf', ...KEY, '-subj', `/CN=${name}`, ...san, '-keyout', key, '-out', csr);
    const dates = ['-startdate', from, '-enddate', to];
    const ca = ['-config', 'own.cnf', '-cert', 'ca.pem', '-keyfile', 'ca.key'];
    this.#openssl('ca', '-batch', '-notext', ...ca, ...dates, '-in', csr, '-out', chain);
    return this.#files(name);
  }

  /** One that has issued itself, as docs/security.md makes it. */
  selfSigned(name: string): Files {
    const san = ['-addext', `subjectAltName=${LOCAL}`];
    const out = ['-keyout', `${name}.key`, '-out', `${name}.pem`];
    this.#openssl('req', '-x509', '-config', 'own.cnf', ...KEY, '-subj', `/CN=${name}`, ...san, ...out);
    return this.#files(name);
  }

  #files(name: string): Files {
    const chain = join(this.folder, `${name}.pem`);
    const key = new X509Certificate(readFileSync(chain)).publicKey.export({ type: 'spki', format: 'der' });
    return { chain, key: join(this.folder, `${name}.key`), pin: createHash('sha256').update(key).digest('base64') };
  }

  #openssl(...args: string[]) {
    execFileSync('openssl', args, { cwd: this.folder, stdio: ['ignore', 'ignore', 'pipe'] });
  }
}
