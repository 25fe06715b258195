"""Puts outer headers before inner packets (a list of {inner, source, destination, trafficClass, flowLabel, hopLimit, limit} on stdin)."""

import json
import logging
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers.inet6 import HBHOptUnknown, IPv6, IPv6ExtHdrDestOpt  # noqa: E402


def outer(case):
    header = IPv6(src=case["source"], dst=case["destination"], tc=case["trafficClass"],
                  fl=case["flowLabel"], hlim=case["hopLimit"])
    if case.get("limit") is not None:
        # Scapy pads the header by itself.
        header = header / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=4, optdata=bytes([case["limit"]]))])
    return bytes(header / IPv6(bytes.fromhex(case["inner"]))).hex()


print(json.dumps([outer(case) for case in json.load(sys.stdin)]))
