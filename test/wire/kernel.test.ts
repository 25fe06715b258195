import t from 'tap';
import { emitEthernet, multicastMac, parseEthernet } from '../../src/wire/index.js';
import { compose, dissect } from './samples.js';

/** Frames of Linux, between two network namespaces, when the veth between them came up (captured, `tx off`). */
const FRAMES: readonly { readonly name: string; readonly hex: string; readonly message: object }[] =
  [
    {
      name: 'duplicate address detection with a nonce option (RFC 4862 5.4.2, RFC 7527 4)',
      hex: '3333ffea1a5d722841ea1a5d86dd6000000000203aff00000000000000000000000000000000ff0200000000000000000001ffea1a5d8700918b00000000fe80000000000000702841fffeea1a5d0e01dd68ccb24bc0',
      message: {
        kind: 'neighbor-solicitation',
        target: 'fe80::7028:41ff:feea:1a5d',
        options: [{ kind: 'unknown', type: 14 }],
      },
    },
    {
      name: 'MLDv2 report behind a router alert (RFC 3810 5.2)',
      hex: '333300000016722841ea1a5d86dd6000000000380001fe80000000000000702841fffeea1a5dff0200000000000000000000000000163a000502000001008f0088360000000204000000ff0200000000000000000001ff00000204000000ff0200000000000000000001ffea1a5d',
      message: { kind: 'unknown', type: 143 },
    },
    {
      name: 'router solicitation (RFC 4861 4.1)',
      hex: '333300000002722841ea1a5d86dd6000000000103afffe80000000000000702841fffeea1a5dff0200000000000000000000000000028500e24e000000000101722841ea1a5d',
      message: {
        kind: 'router-solicitation',
        options: [{ kind: 'source-link-layer-address', mac: '72:28:41:ea:1a:5d' }],
      },
    },
    {
      name: 'neighbor solicitation (RFC 4861 4.3)',
      hex: '3333ff000002ca4c68d6a6c286dd6000000000203aff20010db8000000000000000000000001ff0200000000000000000001ff000002870044420000000020010db80000000000000000000000020101ca4c68d6a6c2',
      message: {
        kind: 'neighbor-solicitation',
        target: '2001:db8::2',
        options: [{ kind: 'source-link-layer-address', mac: 'ca:4c:68:d6:a6:c2' }],
      },
    },
    {
      name: 'neighbor advertisement (RFC 4861 4.4)',
      hex: 'ca4c68d6a6c2722841ea1a5d86dd6000000000203aff20010db800000000000000000000000220010db80000000000000000000000018800be036000000020010db80000000000000000000000020201722841ea1a5d',
      message: {
        kind: 'neighbor-advertisement',
        router: false,
        solicited: true,
        override: true,
        target: '2001:db8::2',
        options: [{ kind: 'target-link-layer-address', mac: '72:28:41:ea:1a:5d' }],
      },
    },
    {
      name: 'echo request with a flow label (RFC 4443 4.1, RFC 6437)',
      hex: '722841ea1a5dca4c68d6a6c286dd600f3a2a00103a4020010db800000000000000000000000120010db80000000000000000000000028000d73740f700010001020304050607',
      message: { kind: 'echo-request', identifier: 0x40f7, sequence: 1 },
    },
  ];

for (const { name, hex, message } of FRAMES) {
  t.test(name, async (t) => {
    const bytes = new Uint8Array(Buffer.from(hex, 'hex'));
    const ethernet = parseEthernet(bytes);
    const { frame, upper } = dissect(ethernet.payload);
    t.match(upper, { icmpv6: message });
    const payload = compose(frame, upper);
    t.same(emitEthernet({ ...ethernet, payload }), bytes, 'emitted as the kernel did');
    if (frame.destination.startsWith('ff')) {
      t.equal(multicastMac(frame.destination), ethernet.destination, 'RFC 2464 7');
    }
  });
}
