"""RFC 4285 by hand: octets laid out one by one, the authenticator by hmac. One JSON object, name -> hex of a packet."""

import hashlib
import hmac
import json
import struct

HOA = bytes.fromhex("20010db8200000000000000000000010")
HA = bytes.fromhex("20010db8200000000000000000000001")
COA = bytes.fromhex("20010db8300000000000000000000033")
KEY = bytes(range(0xA0, 0xB0))
SPI = bytes.fromhex("00000539")
# 2023-11-14 22:13:20 UTC in seconds since 1900, no fraction
TIMESTAMP = struct.pack("!II", 1_700_000_000 + 2_208_988_800, 0)


def checksum(source, destination, header):
    pseudo = source + destination + struct.pack("!IHBB", len(header), 0, 0, 135)
    total = sum(struct.unpack("!%dH" % ((len(pseudo) + len(header)) // 2), pseudo + header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def signed(source, destination, header, rest=b""):
    """`header` ends with the SPI; its checksum is 0. Care-of address, home address, header: RFC 4285 5.1."""
    assert header[4:6] == b"\0\0"
    authenticator = hmac.new(KEY, COA + HOA + header, hashlib.sha1).digest()[:12]
    header += authenticator + rest
    assert len(header) == (header[1] + 1) * 8
    return header[:4] + checksum(source, destination, header) + header[6:]


def ipv6(source, destination, next_header, payload):
    return bytes.fromhex("60000000") + struct.pack("!HBB", len(payload), next_header, 64) \
        + source + destination + payload


update = signed(HOA, HA, bytes.fromhex(
    "3b07050000003a25e00000960100" "0310") + COA
    + bytes.fromhex("0100" "0a08") + TIMESTAMP
    + bytes.fromhex("00" "091101") + SPI)
hao = bytes.fromhex("8702010200 00c910".replace(" ", "")) + HOA

identified = signed(HOA, HA, bytes.fromhex(
    "3b09050000003a25e00000960100" "0310") + COA
    + bytes.fromhex("080a01") + b"vm1@a.net"
    + bytes.fromhex("01040000 0000 0a08") + TIMESTAMP
    + bytes.fromhex("00" "091101") + SPI)

acknowledgement = signed(HA, HOA, bytes.fromhex(
    "3b0506000000" "00003a25" "0096" "01040000" "0000" "0a08") + TIMESTAMP
    + bytes.fromhex("00" "091101") + SPI)
rh2 = bytes.fromhex("8702020100000000") + HOA

# Status 145: the request had no timestamp, so the answer has none.
required = signed(HA, HOA, bytes.fromhex("3b0306000000" "91003a25" "0000" "00" "091101") + SPI)

print(json.dumps({
    "update": ipv6(COA, HA, 60, hao + update).hex(),
    "identified": ipv6(COA, HA, 60, hao + identified).hex(),
    "acknowledgement": ipv6(HA, COA, 43, rh2 + acknowledgement).hex(),
    "required": ipv6(HA, COA, 43, rh2 + required).hex(),
}))
