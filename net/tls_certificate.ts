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

/** What is wrong with them; `null` when nothing is found. */
function faultOf({ cert, key }: OwnCertificate): string | null {
  if (cert === undefined || key === undefined) return null;
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

/**
 * The error to throw, when a runtime did not take them.
 *
 * The two are looked at only then, as a runtime may know kinds of keys that its `node:crypto` does not.
 *
 * @param what What cannot be done.
 */
export function explainCertificate(what: string, error: unknown, own: OwnCertificate): unknown {
  const fault = faultOf(own);
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
  const fault = runtime === "deno" ? faultOf(own) : null;
  if (fault !== null) throw new MptcpError("EINVAL", `Cannot ${what}: ${fault}`);
  const trusted = ca.length === 0 ? {} : { ca: [...rootCertificates, ...ca] };
  const pair = cert === undefined || key === undefined ? {} : { cert, key };
  try {
    return createSecureContext({ ...trusted, ...pair });
  } catch (error) {
    throw explainCertificate(what, error, own);
  }
}

function isCertificate(text: string): boolean {
  try {
    return new X509Certificate(text).subject !== undefined;
  } catch {
    return false;
  }
}
