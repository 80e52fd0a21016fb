/**
 * Why certificates and keys cannot be used: the runtimes' own words say little ("no start line"), and each its own.
 *
 * @module
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext, rootCertificates, type SecureContext } from "node:tls";
import { runtime } from "../ffi/mod.ts";
import { MptcpError } from "../kernel/error.ts";

/** A certificate and its key, as options give them. */
export interface OwnCertificate {
  cert?: string | undefined;
  key?: string | undefined;
}

/** What is wrong, and what to do about it. */
interface Fault {
  why: string;
  hint: string;
}

const NO_CERTIFICATE: Fault = { why: "is no certificate in PEM", hint: "one begins with -----BEGIN CERTIFICATE-----" };

/** What is wrong with them; `null` when nothing is found. */
function faultOf({ cert, key }: OwnCertificate): Fault | null {
  if (cert === undefined || key === undefined) return null;
  let certificate: X509Certificate;
  let privateKey: KeyObject;
  try {
    certificate = new X509Certificate(cert);
  } catch {
    return { why: `cert ${NO_CERTIFICATE.why}`, hint: NO_CERTIFICATE.hint };
  }
  try {
    privateKey = createPrivateKey(key);
  } catch {
    return {
      why: "key is no private key in PEM, or it is encrypted",
      hint: "`openssl pkey -in FILE` asks for the passphrase and prints the key without",
    };
  }
  if (certificate.checkPrivateKey(privateKey)) return null;
  return {
    why: "key is not the key of cert",
    hint: "the certificate of the server itself comes first, before the authorities'",
  };
}

/**
 * The error to throw, when a runtime did not take them.
 *
 * The two are looked at only then, as a runtime may know kinds of keys that its `node:crypto` does not.
 *
 * @param what What cannot be done.
 */
export function explainCertificate(what: string, error: unknown, own: OwnCertificate): unknown {
  const fault = faultOf(own);
  return fault === null ? error : faulty(what, fault, error);
}

/**
 * Makes a context of a certificate, a key, and authorities to trust.
 *
 * @param what What it is for: "listen by TLS".
 * @param own Deno looks at them only when a client comes; here they are looked at now.
 * @throws {MptcpError} `EINVAL` where one of them is none, or they do not belong together.
 */
export function secureContext(what: string, own: OwnCertificate, ca: readonly string[] = []): SecureContext {
  const { cert, key } = own;
  const none = ca.findIndex((each) => !isCertificate(each));
  if (none >= 0) throw faulty(what, { why: `caCerts[${none}] ${NO_CERTIFICATE.why}`, hint: NO_CERTIFICATE.hint });
  const fault = runtime === "deno" ? faultOf(own) : null;
  if (fault !== null) throw faulty(what, fault);
  const trusted = ca.length === 0 ? {} : { ca: [...rootCertificates, ...ca] };
  const pair = cert === undefined || key === undefined ? {} : { cert, key };
  try {
    return createSecureContext({ ...trusted, ...pair });
  } catch (error) {
    throw explainCertificate(what, error, own);
  }
}

function faulty(what: string, { why, hint }: Fault, cause?: unknown): MptcpError {
  return new MptcpError("EINVAL", `Cannot ${what}: ${why}`, { hint, cause });
}

function isCertificate(text: string): boolean {
  try {
    return new X509Certificate(text).subject !== undefined;
  } catch {
    return false;
  }
}
