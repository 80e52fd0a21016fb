/**
 * Why a runtime does not take a certificate and its key: their own words say little ("no start line"), and each its own.
 *
 * @module
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { MptcpError } from "../../kernel/error.ts";

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

/**
 * The error to throw, when a runtime did not begin to serve.
 *
 * The two are looked at only then, as a runtime may know kinds of keys that its `node:crypto` does not.
 */
export function explainStart(error: unknown, { cert, key }: { cert?: string; key?: string }): unknown {
  if (cert === undefined || key === undefined) return error;
  const fault = faultOf(cert, key);
  return fault === null ? error : new MptcpError("EINVAL", `Cannot serve by TLS: ${fault}`, { cause: error });
}
