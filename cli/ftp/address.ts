/**
 * Addresses of FTP.
 *
 * @module
 */
import { UsageError } from "../frame/command.ts";

/** What an address says. */
export interface FtpAddress {
  host: string;
  port: number;
  /** TLS from the first byte on. */
  implicit: boolean;
  user: string | undefined;
  password: string | undefined;
  /** From where the login leads to; one that begins with a slash (`%2F` in the address) from the root. */
  path: string;
  /** Without the password. */
  shown: string;
}

/** Whether a text is meant to be an address. */
export const isFtpAddress = (text: string): boolean => /^ftps?:\/\//i.test(text);

/**
 * Reads `ftp://[user[:password]@]host[:port]/path`, or `ftps://…` for implicit TLS.
 *
 * @throws {UsageError} When it is none.
 */
export function ftpAddress(text: string): FtpAddress {
  const url = isFtpAddress(text) && URL.canParse(text) ? new URL(text) : null;
  const refuse = (why: string) => new UsageError(`URL ${JSON.stringify(text)} ${why}`);
  if (url === null || url.hostname === "") throw refuse("is no address that begins with ftp:// or ftps://");
  if (url.search !== "" || url.hash !== "") throw refuse("has a ? or # in it: write %3F or %23");
  const implicit = url.protocol === "ftps:";
  let parts: string[];
  try {
    parts = [url.pathname.slice(1), url.username, url.password].map(decodeURIComponent);
  } catch {
    throw refuse("has a % that stands for nothing: write %25");
  }
  const [path = "", user = "", password = ""] = parts;
  // deno-lint-ignore no-control-regex
  if (parts.some((part) => /[\x00-\x1f\x7f]/.test(part))) throw refuse("has control characters in it");
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: Number(url.port) || (implicit ? 990 : 21),
    implicit,
    user: user === "" ? undefined : user,
    password: password === "" ? undefined : password,
    path,
    shown: `${url.protocol}//${url.host}${url.pathname}`,
  };
}

/** The last part of a path. */
export const baseName = (path: string): string => path.split("/").filter((part) => part !== "").at(-1) ?? "";
