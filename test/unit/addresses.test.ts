import { expect } from 'chai'
import { forbiddenRange } from '../../federation/channel/addresses.js'

/** Blocks of the IANA IPv4 special-purpose registry and of multicast: first and last address. */
const IPV4_BLOCKS: readonly (readonly [first: string, last: string])[] = [
  ['0.0.0.0', '0.255.255.255'],
  ['10.0.0.0', '10.255.255.255'],
  ['100.64.0.0', '100.127.255.255'],
  ['127.0.0.0', '127.255.255.255'],
  ['169.254.0.0', '169.254.255.255'],
  ['172.16.0.0', '172.31.255.255'],
  ['192.0.0.0', '192.0.0.255'],
  ['192.0.2.0', '192.0.2.255'],
  ['192.31.196.0', '192.31.196.255'],
  ['192.52.193.0', '192.52.193.255'],
  ['192.88.99.0', '192.88.99.255'],
  ['192.168.0.0', '192.168.255.255'],
  ['192.175.48.0', '192.175.48.255'],
  ['198.18.0.0', '198.19.255.255'],
  ['198.51.100.0', '198.51.100.255'],
  ['203.0.113.0', '203.0.113.255'],
  ['224.0.0.0', '239.255.255.255'],
  ['240.0.0.0', '255.255.255.255']
]

/** The addresses just outside those blocks that lie in no other. */
const IPV4_NEIGHBOURS = [
  '1.0.0.0',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '126.255.255.255',
  '128.0.0.0',
  '169.253.255.255',
  '169.255.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '191.255.255.255',
  '192.0.1.0',
  '192.0.3.0',
  '192.31.195.255',
  '192.31.197.0',
  '192.52.192.255',
  '192.52.194.0',
  '192.88.98.255',
  '192.88.100.0',
  '192.167.255.255',
  '192.169.0.0',
  '192.175.47.255',
  '192.175.49.0',
  '198.17.255.255',
  '198.20.0.0',
  '198.51.99.255',
  '198.51.101.0',
  '203.0.112.255',
  '203.0.114.0',
  '223.255.255.255',
  '168.63.129.15',
  '168.63.129.17'
]

/** Blocks of the IANA IPv6 special-purpose registry inside 2000::/3, and what lies outside: first and last. */
const IPV6_BLOCKS: readonly (readonly [first: string, last: string])[] = [
  ['::', '::ffff:ffff:ffff:ffff:ffff'],
  ['::ffff:0:0', '::ffff:ffff:ffff'],
  ['64:ff9b::', '64:ff9b::ffff:ffff'],
  ['64:ff9b:1::', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff'],
  ['100::', '100::ffff:ffff:ffff:ffff'],
  ['100:0:0:1::', '100:0:0:1:ffff:ffff:ffff:ffff'],
  ['1000::', '1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2001::', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2001:1::1', '2001:1::3'],
  ['2001:2::', '2001:2:0:ffff:ffff:ffff:ffff:ffff'],
  ['2001:3::', '2001:3:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2001:4:112::', '2001:4:112:ffff:ffff:ffff:ffff:ffff'],
  ['2001:10::', '2001:1f:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2001:20::', '2001:2f:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2001:30::', '2001:3f:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2002::', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['2620:4f:8000::', '2620:4f:8000:ffff:ffff:ffff:ffff:ffff'],
  ['3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['4000::', '5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['5f00::', '5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['6000::', 'fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['fe80::', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['fec0::', 'feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['ff00::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']
]

const IPV6_NEIGHBOURS = [
  '2000::',
  '2001:200::',
  '2001:db7:ffff:ffff:ffff:ffff:ffff:ffff',
  '2001:db9::',
  '2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  '2003::',
  '2606:4700:4700::1111',
  '2620:4f:7fff:ffff:ffff:ffff:ffff:ffff',
  '2620:4f:8001::',
  '3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  '3fff:1000::',
  // An interface identifier of ISATAP needs both its halves.
  '2606:4700::1:5efe:7f00:1',
  '2606:4700::5eff:7f00:1'
]

describe('addresses that may be dialled', () => {
  for (const network of ['main', 'test', 'private'] as const) {
    it(`refuses every special block on ${network}, from its first address to its last`, () => {
      for (const address of [...IPV4_BLOCKS, ...IPV6_BLOCKS].flat()) {
        expect(forbiddenRange(address, network), address).to.be.a('string')
      }
    })

    it(`takes what lies just outside of them on ${network}`, () => {
      for (const address of [...IPV4_NEIGHBOURS, ...IPV6_NEIGHBOURS]) {
        expect(forbiddenRange(address, network), address).to.equal(undefined)
      }
    })
  }

  it('refuses addresses that carry an IPv4 address inside a public one', () => {
    expect(forbiddenRange('2606:4700::5efe:7f00:1', 'main')).to.equal('isatap')
    expect(forbiddenRange('2606:4700::200:5efe:7f00:1', 'main')).to.equal('isatap')
  })

  it("refuses the cloud's metadata host that has a public address", () => {
    expect(forbiddenRange('168.63.129.16', 'main')).to.equal('cloudMetadata')
    expect(forbiddenRange('168.63.129.16', 'local')).to.equal('cloudMetadata')
  })

  it('takes loopback and private addresses on local, and nothing else that is special', () => {
    const taken = [
      '127.0.0.1',
      '127.255.255.255',
      '10.0.0.1',
      '172.16.0.1',
      '192.168.1.1',
      '::1',
      'fd00::1',
      '1.1.1.1'
    ]
    for (const address of taken) expect(forbiddenRange(address, 'local'), address).to.equal(undefined)
    const refused = [
      '0.0.0.0',
      '169.254.169.254',
      '100.64.0.1',
      '224.0.0.1',
      'fe80::1',
      '::',
      '::ffff:127.0.0.1'
    ]
    for (const address of refused) expect(forbiddenRange(address, 'local'), address).to.be.a('string')
  })

  it('knows one spelling of an address', () => {
    const malformed = [
      '',
      'localhost',
      '127.1',
      '0x7f.0.0.1',
      '0177.0.0.1',
      '2130706433',
      '1.1.1.1.',
      ' 1.1.1.1',
      '1.1.1.1 ',
      '1.1.1.01',
      '1.1.1.256',
      '[2606:4700::1]',
      '2606:4700::1%eth0',
      '2606:4700::1::',
      '１.1.1.1',
      '1.1.1.1\n'
    ]
    for (const address of malformed) expect(forbiddenRange(address, 'main'), address).to.equal('malformed')
  })
})
