/** What the paper measured on its 100 Mbit/s LAN, as its authors wrote it. */
export const PAPER_COLUMNS = ['paper: Kagemusha', 'paper: NEMO VM', 'paper: native'] as const;

export const PAPER_FIGURES = {
  tcp: ['iperf TCP, 100 Mbit/s', '84.4 Mbit/s', '87.8 Mbit/s', '87.9 Mbit/s'],
  cpu: ['CPU of the tunnel', '14 %', '92 %', '-'],
  rtt: ['ping6 RTT (std dev)', '0.44 ms (0.028)', '0.72 ms (0.046)', '0.37 ms'],
  memory: ['memory (RSS)', 'about 1.5 MB', 'a whole VM', '-'],
} as const satisfies Record<string, readonly [string, string, string, string]>;

/** Of its live migration (128 MB over 100 Mbit/s, section 3.3 and Figure 4), where the paper tells. */
export const PAPER_MIGRATION = {
  blackout: {
    hypervisor: 'about 1 s',
    trigger: 'several hundred ms',
    'Home Agent': 'about 1 s',
    delivery: '-',
    total: '-',
  },
  rtt: { before: '-', copy: 'about 20 ms', after: '+0.2 ms' },
} as const;
