"""ESP packets by scapy, and ours opened by it.

Reads a list of {encryption, authentication, encryptionKey, authenticationKey, spi, sequence, iv, ours}, all octets as hex; writes a
list of {sealed, opened}: the ESP part of scapy's own packet, and the Mobility Header that it finds in `ours`. The
packets are between the home address and the home agent, as the associations are.
"""

import json
import logging
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers.inet6 import *  # noqa: E402,F403
from scapy.layers.ipsec import ESP, SecurityAssociation  # noqa: E402

HOA = "2001:db8:2000::10"
HA = "2001:db8:2000::1"
COA = "2001:db8:3000::33"

ENCRYPTION = {"null": "NULL", "3des-cbc": "3DES", "aes-128-cbc": "AES-CBC",
              "aes-192-cbc": "AES-CBC", "aes-256-cbc": "AES-CBC"}
AUTHENTICATION = {"hmac-sha1-96": "HMAC-SHA1-96", "hmac-sha2-256-128": "SHA2-256-128",
                  "hmac-sha2-384-192": "SHA2-384-192", "hmac-sha2-512-256": "SHA2-512-256"}

update = IPv6(bytes(IPv6(src=HOA, dst=HA, hlim=64) / MIP6MH_BU(
    res=0, seq=14885, flags="LHA", mhtime=150, options=[MIP6OptAltCoA(acoa=COA)])))


def judge(case):
    association = SecurityAssociation(
        ESP, spi=case["spi"],
        crypt_algo=ENCRYPTION[case["encryption"]], crypt_key=bytes.fromhex(case["encryptionKey"]),
        auth_algo=AUTHENTICATION[case["authentication"]],
        auth_key=bytes.fromhex(case["authenticationKey"]))
    sealed = association.encrypt(update, seq_num=case["sequence"], iv=bytes.fromhex(case["iv"]))
    ours = IPv6(bytes(IPv6(src=HOA, dst=HA, hlim=64, nh=50) / bytes.fromhex(case["ours"])))
    opened = association.decrypt(ours)
    return {"sealed": bytes(sealed)[40:].hex(), "opened": bytes(opened)[40:].hex()}


print(json.dumps([judge(case) for case in json.load(sys.stdin)]))
