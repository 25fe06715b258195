"""Puts our fragments together (a list of lists of hex on stdin), and builds SYNs before and after an MSS clamp. One JSON object."""

import json
import logging
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers.inet import TCP  # noqa: E402
from scapy.layers.inet6 import *  # noqa: E402,F403

HOME = "2001:db8:2000::10"
FAR = "2001:db8:5::5"

question = json.load(sys.stdin)


def syn(mss, source, destination, flags, padding, between):
    options = [("NOP", None)] * padding + [("MSS", mss), ("SAckOK", b""), ("WScale", 7)]
    packet = IPv6(src=source, dst=destination, hlim=64)
    if between:
        packet = packet / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])
    return bytes(packet / TCP(sport=40000, dport=443, seq=7, flags=flags, options=options)).hex()


syns = []
for source, destination in ((HOME, FAR), (FAR, HOME)):
    for flags in ("S", "SA", "SEC"):
        for padding in range(4):
            for between in (False, True):
                shape = (source, destination, flags, padding, between)
                syns.append({"toHome": source == HOME, "before": syn(1440, *shape),
                             "after": syn(question["mss"], *shape)})

whole = [bytes(defragment6([IPv6(bytes.fromhex(part)) for part in parts])).hex()
         for parts in question["fragments"]]
print(json.dumps({"whole": whole, "syns": syns}))
