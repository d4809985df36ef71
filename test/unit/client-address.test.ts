import type { IncomingMessage } from 'node:http'
import { expect } from 'chai'
import { clientAddressFinder } from '../../src/client-address.js'

describe('clientAddressFinder', () => {
  const proxies = ['10.0.0.0/8', '192.0.2.1', '2001:db8::/32']
  const cases: [
    what: string,
    trusted: string[],
    remote: string,
    forwarded: string | undefined,
    client: string
  ][] = [
    ['nobody trusted, no header', [], '198.51.100.1', undefined, '198.51.100.1'],
    ['nobody trusted, a header', [], '198.51.100.1', '203.0.113.9', '198.51.100.1'],
    ['IPv4 on an IPv6 socket', [], '::ffff:198.51.100.1', undefined, '198.51.100.1'],
    ['a client that is no proxy and says otherwise', proxies, '198.51.100.1', '203.0.113.9', '198.51.100.1'],
    ['one proxy', proxies, '10.1.2.3', '203.0.113.9', '203.0.113.9'],
    ['one proxy on an IPv6 socket', proxies, '::ffff:10.1.2.3', '203.0.113.9', '203.0.113.9'],
    ['two proxies', proxies, '10.1.2.3', '203.0.113.9, 192.0.2.1', '203.0.113.9'],
    [
      'a client that made up a header before the proxy',
      proxies,
      '10.1.2.3',
      '1.1.1.1, 10.9.9.9, 203.0.113.9',
      '203.0.113.9'
    ],
    ['an IPv6 proxy and client', proxies, '2001:db8::5', '2a00:0:0:0::7', '2a00::7'],
    ['a proxy that says nothing', proxies, '10.1.2.3', undefined, '10.1.2.3'],
    ['a proxy that says nonsense', proxies, '10.1.2.3', 'unknown', '10.1.2.3'],
    ['nonsense before a proxy', proxies, '10.1.2.3', 'x, 192.0.2.1', '192.0.2.1'],
    ['only proxies', proxies, '10.1.2.3', '10.0.0.1, 10.0.0.2', '10.0.0.1'],
    ['a thousand hops', proxies, '10.1.2.3', Array(1_000).fill('10.0.0.1').join(), '10.0.0.1']
  ]
  for (const [what, trusted, remoteAddress, forwarded, client] of cases) {
    it(`finds the client: ${what}`, () => {
      const headers = { ...(forwarded && { 'x-forwarded-for': forwarded }) }
      const request = { socket: { remoteAddress }, headers } as unknown as IncomingMessage
      expect(clientAddressFinder(trusted)(request)).to.equal(client)
    })
  }

  it('refuses what is no address or range', () => {
    for (const wrong of ['proxy.example', '10.0.0.0/33', '10.0.0/8x', '']) {
      expect(() => clientAddressFinder([wrong]), wrong).to.throw(RangeError)
    }
  })
})
