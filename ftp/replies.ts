/**
 * What a server's replies say about data connections.
 *
 * @module
 */
import { MptcpError } from "../kernel/error.ts";

/** A reply for a message: what a server says can be long, and anything. */
export function quote(message: string): string {
  return JSON.stringify(message.length > 200 ? `${message.slice(0, 200)}…` : message);
}

function useless(command: string, message: string): MptcpError {
  return new MptcpError(
    "EPROTO",
    `Cannot open a data connection: the answer to ${command} makes no sense: ${quote(message)}`,
  );
}

/** The port of `229 Entering Extended Passive Mode (|||6446|)`; some servers have another delimiter. */
export function epsvPort(message: string): number {
  const port = Number(/([!-/:-@[-`{-~])\1\1(\d{1,5})\1/.exec(message.slice(3))?.[2]);
  if (port >= 1 && port <= 65535) return port;
  throw useless("EPSV", message);
}

/** The address of `227 Entering Passive Mode (192,168,1,100,10,229)`; some servers leave the brackets out. */
export function pasvTarget(message: string): { host: string; port: number } {
  const numbers = /(?<![\d,])\d{1,3}(?:, ?\d{1,3}){5}(?![\d,])/.exec(message.slice(3))?.[0].split(",").map(Number);
  if (numbers?.every((each) => each <= 255)) {
    const port = numbers[4]! * 256 + numbers[5]!;
    if (port > 0) return { host: numbers.slice(0, 4).join("."), port };
  }
  throw useless("PASV", message);
}

/** The size that `150 Opening data connection for file (1234 bytes)` tells; `null` where a server tells none. */
export function declaredBytes(message: string): number | null {
  const text = /\((\d{1,15}) bytes\)/i.exec(message)?.[1];
  return text === undefined ? null : Number(text);
}
