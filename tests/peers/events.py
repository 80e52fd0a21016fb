#!/usr/bin/env python3
"""Every MPTCP event of the network namespace, with all its attributes, as one JSON object a line.

The first line is {"ready": true}: from then on nothing is missed. It ends with its standard input. Attributes that are not
known here are given by their numbers, so that nothing is passed over in silence.
"""

import json
import os
import socket
import struct
import threading

NETLINK_GENERIC = 16
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
GENL_ID_CTRL = 16
CTRL_CMD_GETFAMILY = 3
CTRL_ATTR_FAMILY_ID = 1
CTRL_ATTR_FAMILY_NAME = 2
CTRL_ATTR_MCAST_GROUPS = 7
CTRL_ATTR_MCAST_GRP_NAME = 1
CTRL_ATTR_MCAST_GRP_ID = 2
NLM_F_REQUEST = 1
NLMSG_ERROR = 2


def number(form):
    return lambda data: struct.unpack(form, data)[0]


def address(data):
    return socket.inet_ntop(socket.AF_INET if len(data) == 4 else socket.AF_INET6, data)


def family(data):
    return {socket.AF_INET: 4, socket.AF_INET6: 6}[number("=H")(data)]


# enum mptcp_event_attr
ATTRIBUTES = {
    1: ("token", number("=I")),
    2: ("family", family),
    3: ("loc_id", number("=B")),
    4: ("rem_id", number("=B")),
    5: ("saddr", address),
    6: ("saddr", address),
    7: ("daddr", address),
    8: ("daddr", address),
    9: ("sport", number("!H")),
    10: ("dport", number("!H")),
    11: ("backup", number("=B")),
    12: ("error", number("=B")),
    13: ("flags", number("=H")),
    14: ("timeout", number("=I")),
    15: ("if_idx", number("=i")),
    16: ("reset_reason", number("=I")),
    17: ("reset_flags", number("=I")),
    18: ("server_side", number("=B")),
}


def attributes(data):
    """(type, payload) of each attribute."""
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3


def find_family(sock):
    """The number of the family mptcp_pm, and that of its group of events."""
    name = b"mptcp_pm\0"
    payload = struct.pack("=BBH", CTRL_CMD_GETFAMILY, 1, 0)
    payload += struct.pack("=HH", 4 + len(name), CTRL_ATTR_FAMILY_NAME) + name + b"\0" * (-len(name) % 4)
    sock.send(struct.pack("=IHHII", 16 + len(payload), GENL_ID_CTRL, NLM_F_REQUEST, 1, 0) + payload)
    reply = sock.recv(65536)
    if struct.unpack_from("=H", reply, 4)[0] == NLMSG_ERROR:
        raise OSError(-struct.unpack_from("=i", reply, 16)[0], "no mptcp_pm")
    found = dict(attributes(reply[20:]))
    groups = [dict(attributes(group)) for _, group in attributes(found[CTRL_ATTR_MCAST_GROUPS])]
    [events] = [group for group in groups if group[CTRL_ATTR_MCAST_GRP_NAME] == b"mptcp_pm_events\0"]
    return number("=H")(found[CTRL_ATTR_FAMILY_ID]), number("=I")(events[CTRL_ATTR_MCAST_GRP_ID])


def decode(message):
    event = {"event": message[16]}
    for kind, data in attributes(message[20:]):
        name, read = ATTRIBUTES.get(kind, (f"attribute {kind}", bytes.hex))
        event[name] = read(data)
    return event


def main():
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((0, 0))
    mptcp_pm, group = find_family(sock)
    sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
    print(json.dumps({"ready": True}), flush=True)
    while True:
        datagram = sock.recv(65536)
        at = 0
        while at + 16 <= len(datagram):
            length, kind = struct.unpack_from("=IH", datagram, at)
            if kind == mptcp_pm:
                print(json.dumps(decode(datagram[at : at + length])), flush=True)
            at += (length + 3) & ~3


def end_with_input():
    while os.read(0, 4096):
        pass
    os._exit(0)


threading.Thread(target=end_with_input, daemon=True).start()
main()
