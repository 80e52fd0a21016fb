/**
 * Why certificates and keys cannot be used: the runtimes' own words say little ("no start line"), and each its own.
 *
 * @module
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext, rootCertificates, type SecureContext } from "node:tls";
import { runtime } from "../ffi/mod.ts";
import { MptcpError } from "../kernel/error.ts";

/** What is wrong with them; `null` when nothing is found. */
function faultOf(cert: string, key: string): string | null {
  let certificate: X509Certificate;
  let privateKey: KeyObject;
  try {
    certificate = new X509Certificate(cert);
  } catch {
    return "cert is no certificate in PEM";
  }
  try {
    privateKey = createPrivateKey(key);
  } catch {
    return "key is no private key in PEM, or it is encrypted";
  }
  return certificate.checkPrivateKey(privateKey) ? null : "key is not the key of cert";
}

/** A certificate and its key, as options give them. */
export interface OwnCertificate {
  cert?: string | undefined;
  key?: string | undefined;
}

/**
 * The error to throw, when a runtime did not take them.
 *
 * The two are looked at only then, as a runtime may know kinds of keys that its `node:crypto` does not.
 *
 * @param what What cannot be done.
 */
export function explainCertificate(what: string, error: unknown, { cert, key }: OwnCertificate): unknown {
  if (cert === undefined || key === undefined) return error;
  const fault = faultOf(cert, key);
  return fault === null ? error : new MptcpError("EINVAL", `Cannot ${what}: ${fault}`, { cause: error });
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
  if (none >= 0) throw new MptcpError("EINVAL", `Cannot ${what}: caCerts[${none}] is no certificate in PEM`);
  const pair = cert === undefined || key === undefined ? {} : { cert, key };
  try {
    const context = createSecureContext({ ...(ca.length === 0 ? {} : { ca: [...rootCertificates, ...ca] }), ...pair });
    if (runtime !== "deno") return context;
    const late = explainCertificate(what, null, own);
    if (late === null) return context;
    throw late;
  } catch (error) {
    throw error instanceof MptcpError ? error : explainCertificate(what, error, own);
  }
}

function isCertificate(text: string): boolean {
  try {
    return new X509Certificate(text).subject !== undefined;
  } catch {
    return false;
  }
}
