"""The packets of samples.ts as scapy builds them: one JSON object, name -> hex."""

import json
import logging

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers.inet6 import *  # noqa: E402,F403
from scapy.packet import Raw  # noqa: E402

HOA = "2001:db8:2000::10"
HA = "2001:db8:2000::1"
COA = "2001:db8:3000::33"
CN = "2001:db8:9::9"
ROUTER = "fe80::1"
GUEST = "fe80::ff:fe00:10"
MAC = "02:00:00:00:00:01"
COOKIE = bytes(range(1, 9))
TOKEN = bytes(range(0xA1, 0xA9))

hao = IPv6ExtHdrDestOpt(options=[HAO(hoa=HOA)])
rh2 = IPv6ExtHdrRouting(type=2, segleft=1, addresses=[HOA])
up = IPv6(src=COA, dst=HA, hlim=64)
down = IPv6(src=HA, dst=COA, hlim=64)
home = IPv6(src=HOA, dst=HA, hlim=64)
correspondent = IPv6(src=COA, dst=CN, hlim=64)
quoted = bytes(IPv6(src=HOA, dst=CN, hlim=63) / ICMPv6EchoRequest(id=7, seq=1, data=b"quoted"))
error = IPv6(src=HA, dst=HOA, hlim=64)
link = IPv6(src=ROUTER, dst=GUEST, hlim=255)

PACKETS = {
    "binding refresh request": down / rh2 / MIP6MH_BRR(res=0, res2=0),
    "home test init": IPv6(src=HOA, dst=CN, hlim=64) / MIP6MH_HoTI(res=0, cookie=COOKIE),
    "care-of test init": correspondent / MIP6MH_CoTI(mhtype=2, res=0, cookie=COOKIE),
    "home test": IPv6(src=CN, dst=HOA, hlim=64)
    / MIP6MH_HoT(res=0, index=513, cookie=COOKIE, token=TOKEN),
    "care-of test": IPv6(src=CN, dst=COA, hlim=64)
    / MIP6MH_CoT(mhtype=4, res=0, index=65535, cookie=COOKIE, token=TOKEN),
    "binding update": up / hao / MIP6MH_BU(
        res=0, seq=14885, flags="LHA", mhtime=150, options=[MIP6OptAltCoA(acoa=COA)]),
    # scapy 2.5 says 16 octets in both options; RFC 6275 says 4 (6.2.6) and, for a binding, 12 (6.2.7).
    "binding update to a correspondent": correspondent / hao / MIP6MH_BU(
        res=0, seq=65535, flags="KA", mhtime=105,
        options=[MIP6OptNonceIndices(olen=4, hni=258, coni=772),
                 MIP6OptBindingAuthData(olen=12,
                                        authenticator=0xC0C1C2C3C4C5C6C7C8C9CACB)]),
    "binding update with reserved bits and an unknown option": up / hao / MIP6MH_BU(
        res=0x5A, seq=0, flags="RHA", reserved=0x155, mhtime=65535,
        options=[MIP6OptUnknown(otype=200, odata=b"guest")]),
    "authenticated binding update": up / hao / MIP6MH_BU(
        res=0, seq=3, flags="HA", mhtime=15,
        options=[MIP6OptAltCoA(acoa=COA), MIP6OptMNID(subtype=1, id=b"vm1@example.org"),
                 MIP6OptReplayProtection(timestamp=0xE8D4A51000000001),
                 MIP6OptMsgAuth(subtype=1, mspi=4096, authdata=bytes(range(12)))]),
    "de-registration at home": home / MIP6MH_BU(
        res=0, seq=14886, flags="LHA", mhtime=0, options=[MIP6OptAltCoA(acoa=HOA)]),
    "binding acknowledgement": down / rh2 / MIP6MH_BA(
        res=0, status=0, flags="", res2=0, seq=14885, mhtime=150),
    "binding acknowledgement with refresh advice": down / rh2 / MIP6MH_BA(
        res=0, status=1, flags="K", res2=0, seq=1, mhtime=900,
        options=[MIP6OptBRAdvice(rinter=450)]),
    "binding acknowledgement 135": IPv6(src=HA, dst=COA, hlim=64) / MIP6MH_BA(
        res=0, status=135, flags="", res2=0, seq=777, mhtime=0),
    "binding error": IPv6(src=HA, dst=COA, hlim=64) / MIP6MH_BE(res=0, status=1, ha=HOA),
    "unknown mobility header": IPv6(src=HA, dst=COA, hlim=64)
    / MIP6MH_Generic(mhtype=77, res=0, msg=b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a"),
    "router alert": IPv6(src=GUEST, dst="ff02::16", hlim=1)
    / IPv6ExtHdrHopByHop(options=[RouterAlert(value=0)])
    / ICMPv6MLReport(mladdr="ff02::1:ff00:10"),
    "tunnel encapsulation limit": up
    / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=4, optlen=1, optdata=b"\x04")])
    / IPv6(src=HOA, dst=CN, hlim=64) / ICMPv6EchoRequest(id=1, seq=2, data=b"inner"),
    "tunnel": up / IPv6(src=HOA, dst=CN, hlim=64, tc=0xB8, fl=0xABCDE)
    / ICMPv6EchoRequest(id=1, seq=2, data=b"inner"),
    "first fragment": up / IPv6ExtHdrFragment(nh=17, offset=0, m=1, id=0xDEADBEEF) / Raw(b"A" * 16),
    "later fragment": up
    / IPv6ExtHdrFragment(nh=60, offset=181, m=0, id=0xDEADBEEF, res1=0, res2=0) / Raw(b"B" * 11),
    "unknown routing header": up / IPv6ExtHdrRouting(type=253, segleft=0, addresses=[CN, HA])
    / ICMPv6EchoRequest(id=1, seq=2),
    "type 2 routing header already taken": IPv6(src=HA, dst=HOA, hlim=64)
    / IPv6ExtHdrRouting(type=2, segleft=0, addresses=[COA]) / ICMPv6EchoRequest(id=9, seq=9),
    "unknown destination option": up
    / IPv6ExtHdrDestOpt(nh=59, options=[HBHOptUnknown(otype=0x1E, optlen=5, optdata=b"hello"),
                                        HAO(hoa=HOA)]),
    "no next header": IPv6(src=COA, dst=HA, hlim=64, nh=59),
    "destination unreachable": error / ICMPv6DestUnreach(code=4) / Raw(quoted),
    "packet too big": error / ICMPv6PacketTooBig(mtu=1460) / Raw(quoted),
    "time exceeded": error / ICMPv6TimeExceeded(code=0) / Raw(quoted),
    "parameter problem": error / ICMPv6ParamProblem(code=2, ptr=42) / Raw(quoted),
    "echo request": error / ICMPv6EchoRequest(id=0x1234, seq=0xFFFF, data=b"0123456789"),
    "echo reply": IPv6(src=HOA, dst=HA, hlim=64) / ICMPv6EchoReply(id=0x1234, seq=0, data=b"odd"),
    "home agent discovery request": IPv6(
        src=COA, dst="2001:db8:2000:0:fdff:ffff:ffff:fffe", hlim=64) / ICMPv6HAADRequest(id=0x1234, R=0),
    "home agent discovery reply": down
    / ICMPv6HAADReply(id=0x1234, R=0, addresses=[HA, "2001:db8:2000::2"]),
    "mobile prefix solicitation": up / hao / ICMPv6MPSol(id=7),
    "mobile prefix advertisement": down / rh2 / ICMPv6MPAdv(id=7, flags=2)
    / ICMPv6NDOptPrefixInfo(prefixlen=64, L=1, A=0, R=1, validlifetime=86400,
                            preferredlifetime=3600, prefix=HA),
    "router solicitation": IPv6(src=GUEST, dst="ff02::2", hlim=255) / ICMPv6ND_RS()
    / ICMPv6NDOptSrcLLAddr(lladdr=MAC),
    "router advertisement": IPv6(src=ROUTER, dst="ff02::1", hlim=255)
    / ICMPv6ND_RA(chlim=64, M=1, O=1, H=1, prf=1, routerlifetime=1800, reachabletime=30000,
                  retranstimer=1000)
    / ICMPv6NDOptSrcLLAddr(lladdr=MAC)
    / ICMPv6NDOptMTU(mtu=1460)
    / ICMPv6NDOptPrefixInfo(prefixlen=64, L=1, A=1, R=1, validlifetime=86400,
                            preferredlifetime=0xFFFFFFFF, prefix=HA)
    / ICMPv6NDOptRDNSS(lifetime=600, dns=["2001:db8::53"]),
    "neighbor solicitation": IPv6(src=ROUTER, dst="ff02::1:ff00:10", hlim=255)
    / ICMPv6ND_NS(tgt=HOA) / ICMPv6NDOptSrcLLAddr(lladdr=MAC),
    "duplicate address detection": IPv6(src="::", dst="ff02::1:ff00:10", hlim=255)
    / ICMPv6ND_NS(tgt=HOA),
    "neighbor advertisement": link / ICMPv6ND_NA(R=1, S=1, O=1, tgt=ROUTER)
    / ICMPv6NDOptDstLLAddr(lladdr=MAC),
    "unsolicited neighbor advertisement": IPv6(src=HA, dst="ff02::1", hlim=255)
    / ICMPv6ND_NA(R=0, S=0, O=1, tgt=HOA) / ICMPv6NDOptDstLLAddr(lladdr=MAC),
    "redirect": link / ICMPv6ND_Redirect(tgt="fe80::2", dst=CN)
    / ICMPv6NDOptDstLLAddr(lladdr=MAC),
}

print(json.dumps({name: bytes(packet).hex() for name, packet in PACKETS.items()}))
