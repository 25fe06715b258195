"""Fragments by scapy.

Reads a list of {packet, mtu, front}: an IPv6 packet in hexadecimal, octets of the largest fragment, and how many octets of extension headers
stay in front of the fragment header; writes for each the list of its fragments.
"""

import json
import logging
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6  # noqa: E402
from scapy.packet import Raw  # noqa: E402


def fragments(case):
    octets = bytes.fromhex(case["packet"])
    front = 40 + case["front"]
    if front == 40:
        return [bytes(part).hex() for part in fragment6(IPv6(octets), case["mtu"])]
    # fragment6 asks for the fragment header's place, when it is not the first.
    head, field = bytearray(octets[:front]), 40
    following, head[field] = head[field], 44
    packet = IPv6(bytes(head)) / IPv6ExtHdrFragment(nh=following, id=7) / Raw(octets[front:])
    return [bytes(part).hex() for part in fragment6(packet, case["mtu"])]


print(json.dumps([fragments(case) for case in json.load(sys.stdin)]))
