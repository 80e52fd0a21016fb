/**
 * What sock_diag tells about a TCP socket that is a subflow: `MPTCP_SUBFLOW_ATTR_*` of `<linux/mptcp.h>`.
 *
 * @module
 */
import type { AttributeDecoder } from "./netlink_attributes.ts";

const MPTCP_SUBFLOW_ATTR_TOKEN_REM = 1;
const MPTCP_SUBFLOW_ATTR_TOKEN_LOC = 2;
const MPTCP_SUBFLOW_ATTR_RELWRITE_SEQ = 3;
const MPTCP_SUBFLOW_ATTR_MAP_SEQ = 4;
const MPTCP_SUBFLOW_ATTR_MAP_SFSEQ = 5;
const MPTCP_SUBFLOW_ATTR_SSN_OFFSET = 6;
const MPTCP_SUBFLOW_ATTR_MAP_DATALEN = 7;
const MPTCP_SUBFLOW_ATTR_FLAGS = 8;
const MPTCP_SUBFLOW_ATTR_ID_REM = 9;
const MPTCP_SUBFLOW_ATTR_ID_LOC = 10;

/** `#define MPTCP_SUBFLOW_FLAG_MCAP_REM _BITUL(0)` */
export const MPTCP_SUBFLOW_FLAG_MCAP_REM = 1;
/** `#define MPTCP_SUBFLOW_FLAG_MCAP_LOC _BITUL(1)` */
export const MPTCP_SUBFLOW_FLAG_MCAP_LOC = 2;
/** `#define MPTCP_SUBFLOW_FLAG_JOIN_REM _BITUL(2)` */
export const MPTCP_SUBFLOW_FLAG_JOIN_REM = 4;
/** `#define MPTCP_SUBFLOW_FLAG_JOIN_LOC _BITUL(3)` */
export const MPTCP_SUBFLOW_FLAG_JOIN_LOC = 8;
/** `#define MPTCP_SUBFLOW_FLAG_BKUP_REM _BITUL(4)` */
export const MPTCP_SUBFLOW_FLAG_BKUP_REM = 16;
/** `#define MPTCP_SUBFLOW_FLAG_BKUP_LOC _BITUL(5)` */
export const MPTCP_SUBFLOW_FLAG_BKUP_LOC = 32;
/** `#define MPTCP_SUBFLOW_FLAG_FULLY_ESTABLISHED _BITUL(6)` */
export const MPTCP_SUBFLOW_FLAG_FULLY_ESTABLISHED = 64;
/** `#define MPTCP_SUBFLOW_FLAG_CONNECTED _BITUL(7)` */
export const MPTCP_SUBFLOW_FLAG_CONNECTED = 128;
/** `#define MPTCP_SUBFLOW_FLAG_MAPVALID _BITUL(8)` */
export const MPTCP_SUBFLOW_FLAG_MAPVALID = 256;

/** A subflow, as sock_diag tells it. The sequence numbers are told with CAP_NET_ADMIN only. */
export interface SubflowDiag {
  /** The token of the connection that it belongs to, on this host. `MPTCP_SUBFLOW_ATTR_TOKEN_LOC` */
  tokenLocal: number;
  /** The peer's token; 0 but for subflows that were opened from here. `MPTCP_SUBFLOW_ATTR_TOKEN_REM` */
  tokenRemote: number;
  /** The id of our address in the connection. `MPTCP_SUBFLOW_ATTR_ID_LOC` */
  idLocal: number;
  /** The id of the peer's address in the connection. `MPTCP_SUBFLOW_ATTR_ID_REM` */
  idRemote: number;
  /** All flags. `MPTCP_SUBFLOW_ATTR_FLAGS` */
  flags: number;
  /** The initial subflow: MP_CAPABLE was sent or received. `MPTCP_SUBFLOW_FLAG_MCAP_LOC`, `_MCAP_REM` */
  initial: boolean;
  /** An additional subflow: MP_JOIN was sent or received. `MPTCP_SUBFLOW_FLAG_JOIN_LOC`, `_JOIN_REM` */
  join: boolean;
  /** The peer asked to use it as a backup only. `MPTCP_SUBFLOW_FLAG_BKUP_REM` */
  backupRemote: boolean;
  /** We asked to use it as a backup only. `MPTCP_SUBFLOW_FLAG_BKUP_LOC` */
  backupLocal: boolean;
  /** The peer's MPTCP is certain: the connection can have more subflows. `MPTCP_SUBFLOW_FLAG_FULLY_ESTABLISHED` */
  fullyEstablished: boolean;
  /** The handshake is over. `MPTCP_SUBFLOW_FLAG_CONNECTED` */
  connected: boolean;
  /** There is a mapping of received data. `MPTCP_SUBFLOW_FLAG_MAPVALID` */
  mapValid: boolean;
  /** Bytes sent on the subflow so far, as its next relative sequence number. `MPTCP_SUBFLOW_ATTR_RELWRITE_SEQ` */
  relativeWriteSeq?: number;
  /** Data sequence number of the mapping. `MPTCP_SUBFLOW_ATTR_MAP_SEQ` */
  mapSeq?: bigint;
  /** Subflow sequence number of the mapping. `MPTCP_SUBFLOW_ATTR_MAP_SFSEQ` */
  mapSubflowSeq?: number;
  /** The TCP sequence number that the subflow's count from. `MPTCP_SUBFLOW_ATTR_SSN_OFFSET` */
  ssnOffset?: number;
  /** Length of the mapping, bytes. `MPTCP_SUBFLOW_ATTR_MAP_DATALEN` */
  mapLength?: number;
}

/** Decodes the nest `INET_ULP_INFO_MPTCP`. */
export function decodeSubflowDiag(attributes: AttributeDecoder): SubflowDiag {
  const result: SubflowDiag = {
    tokenLocal: 0,
    tokenRemote: 0,
    idLocal: 0,
    idRemote: 0,
    flags: 0,
    initial: false,
    join: false,
    backupRemote: false,
    backupLocal: false,
    fullyEstablished: false,
    connected: false,
    mapValid: false,
  };
  while (attributes.next()) {
    switch (attributes.type) {
      case MPTCP_SUBFLOW_ATTR_TOKEN_REM:
        result.tokenRemote = attributes.u32();
        break;
      case MPTCP_SUBFLOW_ATTR_TOKEN_LOC:
        result.tokenLocal = attributes.u32();
        break;
      case MPTCP_SUBFLOW_ATTR_RELWRITE_SEQ:
        result.relativeWriteSeq = attributes.u32();
        break;
      case MPTCP_SUBFLOW_ATTR_MAP_SEQ:
        result.mapSeq = attributes.u64();
        break;
      case MPTCP_SUBFLOW_ATTR_MAP_SFSEQ:
        result.mapSubflowSeq = attributes.u32();
        break;
      case MPTCP_SUBFLOW_ATTR_SSN_OFFSET:
        result.ssnOffset = attributes.u32();
        break;
      case MPTCP_SUBFLOW_ATTR_MAP_DATALEN:
        result.mapLength = attributes.u16();
        break;
      case MPTCP_SUBFLOW_ATTR_FLAGS:
        setFlags(result, attributes.u32());
        break;
      case MPTCP_SUBFLOW_ATTR_ID_REM:
        result.idRemote = attributes.u8();
        break;
      case MPTCP_SUBFLOW_ATTR_ID_LOC:
        result.idLocal = attributes.u8();
        break;
    }
  }
  return result;
}

function setFlags(subflow: SubflowDiag, flags: number): void {
  const has = (bits: number) => (flags & bits) !== 0;
  subflow.flags = flags;
  subflow.initial = has(MPTCP_SUBFLOW_FLAG_MCAP_REM | MPTCP_SUBFLOW_FLAG_MCAP_LOC);
  subflow.join = has(MPTCP_SUBFLOW_FLAG_JOIN_REM | MPTCP_SUBFLOW_FLAG_JOIN_LOC);
  subflow.backupRemote = has(MPTCP_SUBFLOW_FLAG_BKUP_REM);
  subflow.backupLocal = has(MPTCP_SUBFLOW_FLAG_BKUP_LOC);
  subflow.fullyEstablished = has(MPTCP_SUBFLOW_FLAG_FULLY_ESTABLISHED);
  subflow.connected = has(MPTCP_SUBFLOW_FLAG_CONNECTED);
  subflow.mapValid = has(MPTCP_SUBFLOW_FLAG_MAPVALID);
}
