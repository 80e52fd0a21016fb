/**
 * Generic netlink, `<linux/genetlink.h>`: its header, and how a family's number and groups are found, which the kernel
 * gives out when a family is registered.
 *
 * @module
 */
import { encodeMessage, messageAttributes, type NetlinkMessage, NLM_F_REQUEST } from "./netlink.ts";
import { type AttributeDecoder, AttributeEncoder, malformed } from "./netlink_attributes.ts";

/** `#define GENL_ID_CTRL NLMSG_MIN_TYPE`: the one family of a known number, which names the others */
export const GENL_ID_CTRL = 16;
/** `#define GENL_HDRLEN NLMSG_ALIGN(sizeof(struct genlmsghdr))`: u8 cmd, u8 version, u16 reserved */
export const GENL_HDRLEN = 4;
/** `CTRL_CMD_NEWFAMILY`: the command of the reply */
export const CTRL_CMD_NEWFAMILY = 1;
/** `CTRL_CMD_GETFAMILY` */
export const CTRL_CMD_GETFAMILY = 3;
/** The version of the control family. */
const CTRL_VERSION = 1;

const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const CTRL_ATTR_VERSION = 3;
const CTRL_ATTR_MCAST_GROUPS = 7;
const CTRL_ATTR_MCAST_GRP_NAME = 1;
const CTRL_ATTR_MCAST_GRP_ID = 2;
/** `#define GENL_NAMSIZ 16`: length of family name, its NUL included */
const GENL_NAMSIZ = 16;

/** A generic netlink family, as the kernel describes it. */
export interface GenlFamily {
  /** The message type to send to. `CTRL_ATTR_FAMILY_ID` */
  id: number;
  /** `CTRL_ATTR_FAMILY_NAME` */
  name: string;
  /** `CTRL_ATTR_VERSION` */
  version: number;
  /** Multicast groups: the number to join by name. `CTRL_ATTR_MCAST_GROUPS` */
  groups: ReadonlyMap<string, number>;
}

/**
 * Encodes a generic netlink message.
 *
 * @param family `GenlFamily.id`
 * @param flags `NLM_F_REQUEST` and others
 * @param command `genlmsghdr.cmd`
 * @param version `genlmsghdr.version`
 * @param attributes What {@linkcode AttributeEncoder.finish} gave.
 */
export function encodeGenlMessage(
  family: number,
  flags: number,
  command: number,
  version: number,
  attributes: Uint8Array = new Uint8Array(0),
): Uint8Array<ArrayBuffer> {
  return encodeMessage(family, flags, Uint8Array.of(command, version, 0, 0), attributes);
}

/** The command of a generic netlink message: `genlmsghdr.cmd`. */
export function genlCommand(message: NetlinkMessage): number {
  if (message.end - message.start < GENL_HDRLEN) throw malformed("a generic netlink message", "its header is cut off");
  return message.view.getUint8(message.start);
}

/** The attributes of a generic netlink message. */
export function genlAttributes(message: NetlinkMessage): AttributeDecoder {
  return messageAttributes(message, GENL_HDRLEN);
}

/**
 * Encodes the question for a family by its name, `CTRL_CMD_GETFAMILY`. A family that is not there is answered by ENOENT.
 *
 * @throws {RangeError} When the name is empty or too long.
 */
export function encodeGetFamily(name: string): Uint8Array<ArrayBuffer> {
  if (name.length === 0 || name.length >= GENL_NAMSIZ) {
    throw new RangeError(`Cannot ask for family "${name}": a name has 1 to ${GENL_NAMSIZ - 1} characters`);
  }
  const attributes = new AttributeEncoder().cstring(CTRL_ATTR_FAMILY_NAME, name);
  return encodeGenlMessage(GENL_ID_CTRL, NLM_F_REQUEST, CTRL_CMD_GETFAMILY, CTRL_VERSION, attributes.finish());
}

/** Decodes the answer. */
export function decodeFamily(message: NetlinkMessage): GenlFamily {
  let id: number | undefined;
  let name = "";
  let version = 0;
  const groups = new Map<string, number>();
  const attributes = genlAttributes(message);
  while (attributes.next()) {
    switch (attributes.type) {
      case CTRL_ATTR_FAMILY_ID:
        id = attributes.u16();
        break;
      case CTRL_ATTR_FAMILY_NAME:
        name = attributes.cstring();
        break;
      case CTRL_ATTR_VERSION:
        version = attributes.u32();
        break;
      case CTRL_ATTR_MCAST_GROUPS: {
        const list = attributes.nested();
        while (list.next()) addGroup(groups, list.nested());
        break;
      }
    }
  }
  if (id === undefined) throw malformed("a generic netlink family", "it has no number");
  return { id, name, version, groups };
}

function addGroup(groups: Map<string, number>, attributes: AttributeDecoder): void {
  let name: string | undefined;
  let id: number | undefined;
  while (attributes.next()) {
    if (attributes.type === CTRL_ATTR_MCAST_GRP_NAME) name = attributes.cstring();
    if (attributes.type === CTRL_ATTR_MCAST_GRP_ID) id = attributes.u32();
  }
  if (name !== undefined && id !== undefined) groups.set(name, id);
}
