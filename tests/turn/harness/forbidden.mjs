// The attack list: addresses that no relay may lead to, in every spelling that leads to one of them. Words and numbers
// alone; forbidden.test.mjs sends packets to them.

/** Addresses that the server's room has beside its own, so that packets to them would arrive. */
export const PLANTED = [
  '127.8.8.8',
  '10.9.8.7',
  '172.20.1.1',
  '192.168.7.7',
  '100.64.7.7',
  '169.254.169.254',
  '169.254.7.7',
  '198.18.7.7',
  '192.0.0.7',
  'fd00::7',
  'fd00:ec2::254',
  'fec0::7',
  'fe80::7',
  '64:ff9b::7f00:1',
  '64:ff9b::a09:807',
  '64:ff9b:1::7f00:1',
  '2002:7f00:1::1',
  '2002:a9fe:a9fe::1',
  '2001:0:a09:807::ffff:ffff',
  '2001:0:cb00:7107::80ff:fffe',
  '::ffff:0:7f00:1',
  '2001:db8:77::5efe:7f00:1',
];

/** Groups that the traps have joined. */
export const GROUPS = ['239.255.7.7', '224.0.0.251'];

/** What to ask for, by family of the relayed address; and what kind it is, for people. */
export const FORBIDDEN = {
  4: {
    'loopback': ['127.0.0.1', '127.8.8.8', '127.255.255.254'],
    'this network': ['0.0.0.0', '0.0.0.1', '0.255.255.255'],
    'private': ['10.9.8.7', '10.0.0.0', '10.255.255.255', '172.16.0.0', '172.20.1.1', '172.31.255.255', '192.168.7.7'],
    'shared by carriers': ['100.64.0.0', '100.64.7.7', '100.127.255.255'],
    'link-local and metadata': ['169.254.169.254', '169.254.7.7', '169.254.0.0', '168.63.129.16', '192.0.0.192', '100.100.100.200'],
    'for protocols and benchmarks': ['192.0.0.7', '198.18.7.7', '198.19.255.255'],
    'multicast': ['224.0.0.251', '239.255.7.7', '224.0.0.0', '239.255.255.255'],
    'reserved and broadcast': ['240.0.0.1', '255.255.255.255'],
  },
  6: {
    'unspecified and loopback': ['::', '::1'],
    'IPv4-mapped': ['::ffff:127.0.0.1', '::ffff:10.9.8.7', '::ffff:169.254.169.254', '::ffff:0.0.0.0', '::ffff:255.255.255.255'],
    'IPv4-mapped, of an address that is not forbidden': ['::ffff:198.51.100.2'],
    'IPv4-compatible': ['::127.0.0.1', '::10.9.8.7', '::169.254.169.254'],
    'IPv4-translated': ['::ffff:0:7f00:1', '::ffff:0:a09:807'],
    'NAT64': ['64:ff9b::127.0.0.1', '64:ff9b::10.9.8.7', '64:ff9b::169.254.169.254', '64:ff9b::0.0.0.0'],
    'NAT64 of a network': ['64:ff9b:1::127.0.0.1', '64:ff9b:1:ffff::10.9.8.7'],
    '6to4': ['2002:7f00:1::1', '2002:a09:807::1', '2002:a9fe:a9fe::1', '2002:c0a8:707::', '2002:0:0::1'],
    // The server in words 3 and 4, the client in the last two with every bit turned over (RFC 4380 §4).
    'Teredo': ['2001:0:a09:807::ffff:ffff', '2001:0:cb00:7107::80ff:fffe', '2001:0:cb00:7107::5601:5601'],
    'ISATAP': ['2001:db8:77::5efe:127.0.0.1', '2001:db8:77:0:200:5efe:a09:807'],
    'link-local': ['fe80::7', 'febf:ffff::1'],
    'site-local': ['fec0::7', 'feff::1'],
    'unique local and metadata': ['fc00::7', 'fd00::7', 'fd00:ec2::254', 'fdff:ffff::1'],
    'multicast': ['ff02::1', 'ff02::fb', 'ff05::2', 'ff0e::1'],
    'for discarding': ['100::1'],
  },
};
