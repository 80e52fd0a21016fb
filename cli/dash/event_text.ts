/**
 * An event, as the page's log has it.
 *
 * @module
 */
import type { PathEvent } from "../../kernel/mptcp_event_types.ts";
import type { OverflowEvent } from "../../paths/watch.ts";
import { addrText, tokenText } from "../frame/texts.ts";
import type { ShownEvent } from "./feed.ts";

/** Reduces an event to what is shown. */
export function shownEvent(event: PathEvent | OverflowEvent, at: number): ShownEvent {
  const words: string[] = [];
  if (event.type === "overflow") words.push(`${event.lost} events were lost`);
  if ("local" in event && "remote" in event) words.push(`${addrText(event.local)} → ${addrText(event.remote)}`);
  else if ("local" in event) words.push(addrText(event.local));
  else if ("remote" in event) words.push(`${addrText(event.remote)} id ${event.remoteId}`);
  else if (event.type === "removed") words.push(`id ${event.remoteId}`);
  if ("backup" in event && event.backup) words.push("backup");
  if ("error" in event && event.error !== undefined) words.push(event.error.code);
  if ("resetReason" in event && event.resetReason !== undefined) words.push(event.resetReason.meaning);
  const token = "token" in event && event.token !== undefined ? tokenText(event.token) : "";
  return { at, type: event.type, token, text: words.join(", ") };
}
