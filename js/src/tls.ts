// Which hub a program in Node trusts over TLS: the rules of src/transport/tls/trust.rs.

import { X509Certificate, createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { createSecureContext, type ConnectionOptions, type SecureContext, type TLSSocket } from 'node:tls';
import { NanostateError, words } from './status.js';
import { codeOfSystem } from './system.js';

const PEM = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
const PIN_LENGTH = 32;

/** What the errors of Node mean, in the words of src/transport/tls/words.rs. */
const WORDS: Record<string, string> = {
  CERT_HAS_EXPIRED: 'the certificate has expired',
  CERT_NOT_YET_VALID: 'the certificate is not valid yet',
  ECONNRESET: 'the connection was closed in the TLS handshake (does the hub speak TLS there?)',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'it does not speak TLS',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'the hub does not speak TLS 1.3',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'the hub does not speak TLS 1.3',
};
const NOT_ISSUED = [
  'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'CERT_SIGNATURE_FAILURE',
];

export class Trust {
  readonly #context: SecureContext;
  readonly #pins: string[];

  /** `ca`: a file of certificates; `pins`: as of `NS_OPT_TLS_PIN`. At least one is there. Throws a NanostateError. */
  constructor(
    readonly ca: string | undefined,
    pins: string | undefined,
  ) {
    this.#pins = pins === undefined ? [] : pins.split(',').map((pin) => parsePin(pin.trim()));
    const trusted = ca === undefined ? {} : { ca: authorities(ca), allowPartialTrustChain: true };
    this.#context = createSecureContext({ ...trusted, minVersion: 'TLSv1.3' });
  }

  /** How to connect to this host. */
  options(host: string): ConnectionOptions {
    return {
      secureContext: this.#context,
      minVersion: 'TLSv1.3',
      // A pin alone is checked once the handshake is over, and before anything is sent.
      rejectUnauthorized: this.ca !== undefined,
      checkServerIdentity: () => undefined,
      ...(isIP(address(host)) ? {} : { servername: host }),
    };
  }

  /** Why this hub is not to be trusted, whose certificate the file of authorities allows. */
  fault(socket: TLSSocket, host: string): string | undefined {
    const { raw } = socket.getPeerCertificate();
    const certificate = new X509Certificate(raw);
    if (this.ca !== undefined) {
      if (!socket.authorized) {
        // Where `rejectUnauthorized` has not ended the connection already.
        const code = String(socket.authorizationError);
        return this.words({ code, message: code });
      }
      const ip = address(host);
      const fits = isIP(ip) ? certificate.checkIP(ip) : certificate.checkHost(host, { subject: 'never' });
      if (!fits) {
        const names = certificate.subjectAltName?.replace(/DNS:|IP Address:/g, '');
        return `the certificate is not for the name ${host}: it has ${names ?? 'none'}`;
      }
    }
    const key = certificate.publicKey.export({ type: 'spki', format: 'der' });
    const pin = createHash('sha256').update(key).digest('base64');
    if (this.#pins.length > 0 && !this.#pins.includes(pin)) {
      return `the public key of the hub is not the pinned one: its pin is ${pin}`;
    }
    return undefined;
  }

  /** What an error in a handshake means. */
  words({ code = '', message }: { code?: string | undefined; message: string }): string {
    return NOT_ISSUED.includes(code)
      ? `the certificate is not issued by one of those in ${this.ca}`
      : (WORDS[code] ?? `TLS: ${message}`);
  }
}

/** A host without the zone of an IPv6 address. */
function address(host: string): string {
  return host.replace(/%.*$/, '');
}

/** The certificates in a file, as PEM. Lists of the system have some that are too old to be read. */
function authorities(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, 'latin1');
  } catch (error) {
    const code = codeOfSystem(error as NodeJS.ErrnoException);
    throw new NanostateError(code, `${code === 'NS_ERR_IO' ? (error as Error).message : words(code)}: ${file}`);
  }
  const found = text.match(PEM);
  if (!found) {
    throw new NanostateError('NS_ERR_TLS', `no certificate in the form of PEM: ${file}`);
  }
  const usable = found.filter(isReadable);
  if (usable.length === 0) {
    throw new NanostateError('NS_ERR_TLS', `no certificate that can be used: ${file}`);
  }
  return usable;
}

function isReadable(pem: string): boolean {
  try {
    return new X509Certificate(pem) !== undefined;
  } catch {
    return false;
  }
}

/** A pin in base64. */
function parsePin(text: string): string {
  const pin = text.replace(/^sha256\/\//, '');
  const digits = pin.replaceAll(':', '');
  const isHex = /^[0-9a-f]{64}$/i.test(digits);
  const bytes = Buffer.from(isHex ? digits : pin, isHex ? 'hex' : 'base64');
  if (bytes.length !== PIN_LENGTH || (!isHex && bytes.toString('base64') !== pin)) {
    const words = 'is no pin: the SHA-256 of a public key, in base64 or hexadecimal';
    throw new NanostateError('NS_ERR_INVALID', `${JSON.stringify(text)} ${words}`);
  }
  return bytes.toString('base64');
}
