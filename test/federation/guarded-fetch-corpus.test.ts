import { connect, type Socket } from 'node:net'
import { expect } from 'chai'
import { createOutboundDoor, type OutboundDoor } from '../../federation/channel/guarded-fetch.js'
import { OutboundError, type OutboundErrorKind } from '../../federation/channel/outbound-error.js'
import { createLogger } from '../../src/logger.js'
import { createTestAuthority } from '../support/certificates.js'
import { json, redirect, ScriptedHost } from '../support/peer.js'

/*
 * What must not be called from a node on a real network, however it is written. Each case asserts the typed refusal,
 * and that nothing was dialled.
 */

const SPECIAL_IPV4 = [
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '10.255.255.255',
  '100.64.0.1',
  '100.100.100.200',
  '100.127.255.255',
  '127.0.0.1',
  '127.1.2.3',
  '127.255.255.254',
  '168.63.129.16',
  '169.254.0.1',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.1',
  '192.0.0.9',
  '192.0.0.170',
  '192.0.0.192',
  '192.0.2.1',
  '192.31.196.1',
  '192.52.193.1',
  '192.88.99.1',
  '192.168.0.1',
  '192.168.255.255',
  '192.175.48.1',
  '198.18.0.1',
  '198.19.255.255',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255'
]

const SPECIAL_IPV6 = [
  '::',
  '::1',
  '::7f00:1',
  '::ffff:127.0.0.1',
  '::ffff:169.254.169.254',
  '::ffff:8.8.8.8',
  '::ffff:0:7f00:1',
  '64:ff9b::7f00:1',
  '64:ff9b:1::1',
  '100::1',
  '100:0:0:1::1',
  '2001::1',
  '2001:1::1',
  '2001:2::1',
  '2001:3::1',
  '2001:4:112::1',
  '2001:10::1',
  '2001:20::1',
  '2001:30::1',
  '2001:db8::1',
  '2002:7f00:1::1',
  '2606:4700::5efe:7f00:1',
  '2606:4700::200:5efe:7f00:1',
  '2620:4f:8000::1',
  '3fff::1',
  '4000::1',
  '5f00::1',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'fec0::1',
  'ff02::1',
  'ff0e::1'
]

const SPECIAL = [...SPECIAL_IPV4, ...SPECIAL_IPV6]
const PUBLIC = '93.184.216.34'
const PUBLIC_IPV6 = '2606:4700:4700::1111'
/** Nothing that the resolver answers is waited for longer. */
const HANG_MILLISECONDS = 2_000

/** How a URL's host can be written so that some reader takes it for this address. */
function spellingsOf(address: string): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
  const number = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
  const hex = (value: number) => `0x${value.toString(16)}`
  const octal = (value: number) => `0${value.toString(8)}`
  const wide = (text: string) => text.replace(/\d/g, digit => String.fromCharCode(0xff10 + Number(digit)))
  return [
    address,
    `${address}.`,
    String(number),
    hex(number),
    hex(number).toUpperCase(),
    octal(number),
    [a, b, c, d].map(hex).join('.'),
    [a, b, c, d].map(octal).join('.'),
    `${a}.${b}.${(c << 8) | d}`,
    `${a}.${(b << 16) | (c << 8) | d}`,
    `${hex(a)}.${b}.${octal(c)}.${d}`,
    `00${a}.${b}.${c}.${d}`,
    wide(address),
    address.replaceAll('.', '。'),
    address.replaceAll('.', '%2e'),
    `[::ffff:${address}]`,
    `[::${address}]`,
    `${address}:443`,
    `user@${address}`
  ]
}

const BAD_URLS: readonly string[] = [
  // Scheme.
  'http://host.example/',
  'ftp://host.example/',
  'ws://host.example/',
  'wss://host.example/',
  'file:///etc/passwd',
  'data:text/plain,x',
  'gopher://host.example/',
  'blob:https://host.example/x',
  'HTTPS://host.example/',
  // User.
  'https://user@host.example/',
  'https://user:password@host.example/',
  'https://:password@host.example/',
  'https://@host.example/',
  'https://:@host.example/',
  'https://127.0.0.1@host.example/',
  'https://host.example@127.0.0.1/',
  'https://host.example%40127.0.0.1/',
  // Port.
  'https://host.example:80/',
  'https://host.example:443/',
  'https://host.example:0443/',
  'https://host.example:8443/',
  'https://host.example:22/',
  'https://host.example:0/',
  'https://host.example:65536/',
  'https://host.example:-1/',
  'https://host.example:/',
  'https://host.example:443@127.0.0.1/',
  // Dots and labels.
  'https://host.example./',
  'https://host.example../',
  'https://.host.example/',
  'https://host..example/',
  'https://localhost/',
  'https://localhost./',
  'https://intranet/',
  'https://host/',
  'https://./',
  'https://-host.example/',
  'https://host-.example/',
  'https://ho_st.example/',
  'https://*.example/',
  `https://${'a'.repeat(64)}.example/`,
  `https://${'a.'.repeat(130)}example/`,
  `https://host.example/${'a'.repeat(2048)}`,
  // Unicode, upper case, and what parsers make other letters of.
  'https://HOST.example/',
  'https://Host.Example/',
  'https://hóst.example/',
  'https://ｈｏｓｔ.example/',
  'https://host。example/',
  'https://host．example/',
  'https://host｡example/',
  'https://ℓocalhost.example/',
  'https://ⓛocalhost/',
  'https://１２７.0.0.1/',
  'https://١٢٧.0.0.1/',
  'https://faß.example/',
  'https://ho\u00adst.example/',
  'https://ho\u200bst.example/',
  'https://xn--a.example/',
  'https://h%6fst.example/',
  'https://host.example%00.other.example/',
  'https://host.example%2f@127.0.0.1/',
  // What parsers drop or turn into something else.
  ' https://host.example/',
  'https://host.example/ ',
  'https://host.example\t/',
  'https://ho\nst.example/',
  'https://host.example\r\n/',
  'https:\\\\host.example\\',
  'https:/host.example/',
  'https:host.example/',
  'https:///host.example/',
  'https://host.example\\@127.0.0.1/',
  'https://host.example#@127.0.0.1/',
  'https://host.example?@127.0.0.1/',
  'https://host.example/a/../b',
  'https://host.example/a/./b',
  'https://host.example/a b',
  'https://host.example/é',
  'https://host.example/#fragment',
  'https://host.example/#',
  'https://host.example#',
  '//host.example/',
  'host.example',
  'https://',
  'https:',
  '',
  'https://[::1',
  'https://[::1]/',
  'https://[::ffff:7f00:1]/',
  'https://[::1%25lo]/',
  'https://[v1.host]/',
  'https://127.0.0.1.:443/',
  'https://0/',
  'https://1/',
  'https://0x/',
  'https://host.0x7f/',
  'https://host.1/',
  'https://1.2.3/',
  'https://256.256.256.256/',
  'https://4294967296/'
]

describe('the door outward, what it must not be talked into', () => {
  const dialled: string[] = []
  const resolved: string[] = []
  let answers: (call: number) => readonly string[]
  let cases = 0
  let door: OutboundDoor

  before(() => {
    door = createOutboundDoor({
      network: 'main',
      logger: createLogger('silent'),
      resolver: async hostname => {
        resolved.push(hostname)
        return answers(resolved.length)
      },
      connector: ({ addresses }) => {
        dialled.push(...addresses)
        throw new Error('dialled')
      }
    })
  })
  beforeEach(() => {
    dialled.length = 0
    resolved.length = 0
    answers = () => [PUBLIC]
  })
  after(() => door.close())

  async function expectRefusal(url: string, kind: OutboundErrorKind): Promise<void> {
    cases += 1
    const startedAt = performance.now()
    const error = await door.request({ url, method: 'POST', maximumAnswerBytes: 1024 }).then(
      () => undefined,
      (reason: unknown) => reason
    )
    expect(error, url).to.be.instanceOf(OutboundError)
    expect(error, url).to.include({ kind, phase: 'before-sent' })
    expect(dialled, url).to.deep.equal([])
    expect(performance.now() - startedAt, url).to.be.below(HANG_MILLISECONDS)
  }

  it('would dial a public address, or these cases would prove nothing', async () => {
    for (const addresses of [[PUBLIC], [PUBLIC_IPV6], [PUBLIC, PUBLIC_IPV6]]) {
      dialled.length = 0
      answers = () => addresses
      await door
        .request({ url: 'https://host.example/', method: 'GET', maximumAnswerBytes: 1 })
        .catch(() => {})
      expect(dialled).to.deep.equal(addresses)
    }
  })

  for (const address of SPECIAL_IPV4) {
    it(`refuses ${address} in every spelling of a URL`, async () => {
      for (const host of spellingsOf(address)) await expectRefusal(`https://${host}/`, 'refused-url')
      expect(resolved).to.deep.equal([])
    })
  }

  it('refuses special IPv6 addresses in every spelling of a URL', async () => {
    for (const address of SPECIAL_IPV6) {
      for (const host of [
        `[${address}]`,
        `[${address.toUpperCase()}]`,
        `[${address}]:443`,
        `[${address}%25lo]`
      ]) {
        await expectRefusal(`https://${host}/`, 'refused-url')
      }
    }
    expect(resolved).to.deep.equal([])
  })

  it('refuses public addresses too, where a name is asked for', async () => {
    for (const host of [...spellingsOf(PUBLIC), `[${PUBLIC_IPV6}]`]) {
      await expectRefusal(`https://${host}/`, 'refused-url')
    }
    expect(resolved).to.deep.equal([])
  })

  it('refuses users, ports, other schemes, IDN, trailing dots and whatever changes in parsing', async () => {
    for (const url of BAD_URLS) await expectRefusal(url, 'refused-url')
    expect(resolved).to.deep.equal([])
  })

  it('refuses a name that resolves to a special address', async () => {
    for (const address of SPECIAL) {
      answers = () => [address]
      await expectRefusal('https://host.example/', 'refused-address')
    }
  })

  it('refuses a name with one special address among public ones, wherever it stands', async () => {
    for (const address of SPECIAL) {
      for (const mixed of [
        [PUBLIC, address],
        [address, PUBLIC],
        [PUBLIC, PUBLIC_IPV6, address, '1.1.1.1']
      ]) {
        answers = () => mixed
        await expectRefusal('https://host.example/', 'refused-address')
      }
    }
  })

  it('refuses it behind more public ones than are ever tried', async () => {
    const many = Array.from({ length: 4_000 }, (_, i) => `93.184.${i >> 8}.${i & 255}`)
    answers = () => [...many, '127.0.0.1']
    await expectRefusal('https://host.example/', 'refused-address')
  })

  it('refuses what is no address in an answer', async () => {
    for (const address of [
      'localhost',
      '127.1',
      '0x7f000001',
      '',
      'fe80::1%eth0',
      '[::1]',
      '１.1.1.1',
      '1.1.1.1 '
    ]) {
      answers = () => [PUBLIC, address]
      await expectRefusal('https://host.example/', 'refused-address')
    }
  })

  it('has been asked in 300 ways at least', () => {
    expect(cases).to.be.at.least(300)
  })
})

describe('the door outward, against hosts that change', () => {
  const authority = createTestAuthority()
  let host: ScriptedHost
  let answers: string[][]
  let dialled: string[]
  let door: OutboundDoor

  before(async function () {
    if (authority === undefined) this.skip()
    host = await ScriptedHost.start(authority.issue('host.example'))
    const connector = ({ addresses }: { readonly addresses: readonly string[] }): Socket => {
      dialled.push(...addresses)
      return connect(host.port, '127.0.0.1')
    }
    const resolver = async () => answers.shift() ?? ['127.0.0.1']
    const logger = createLogger('silent')
    door = createOutboundDoor({ network: 'main', logger, resolver, connector, ca: authority.ca })
  })
  beforeEach(() => {
    answers = []
    dialled = []
  })
  after(async () => {
    authority?.remove()
    door?.close()
    await host?.close()
  })

  const call = () => door.request({ url: 'https://host.example/', method: 'GET', maximumAnswerBytes: 1024 })

  it('judges every connection anew, by the answer it is dialled with', async () => {
    for (const address of SPECIAL) {
      answers = [[PUBLIC], [address], [PUBLIC]]
      dialled = []
      host.next('GET /', json(200, {}, { connection: 'close' }))
      expect(await call()).to.include({ status: 200 })
      const error = await call().catch((reason: unknown) => reason)
      expect(error, address).to.include({ kind: 'refused-address', phase: 'before-sent' })
      expect(dialled, address).to.deep.equal([PUBLIC])
      expect(answers, 'one question for each connection').to.have.length(1)
    }
  })

  it('asks no second time for the connection it has', async () => {
    answers = [[PUBLIC], ['127.0.0.1']]
    host.next('GET /', json(200, {}), json(200, {}, { connection: 'close' }))
    await call()
    await call()
    expect(dialled).to.deep.equal([PUBLIC])
    expect(answers).to.have.length(1)
  })

  it('follows no redirect, wherever it leads', async () => {
    const targets = [
      'http://127.0.0.1/',
      'http://169.254.169.254/latest/meta-data/',
      'https://127.0.0.1/',
      'https://[::1]/',
      'https://host.example/',
      'https://host.example/again',
      'https://other.example/',
      '//127.0.0.1/',
      '/again',
      'file:///etc/passwd',
      ''
    ]
    for (const status of [300, 301, 302, 303, 304, 305, 307, 308, 399]) {
      for (const target of targets) {
        answers = [[PUBLIC]]
        dialled = []
        const before = host.requests.length
        host.next('GET /', redirect(status, target))
        const error = await call().catch((reason: unknown) => reason)
        expect(error, `${status} ${target}`).to.include({ kind: 'redirect', phase: 'after-sent' })
        expect(dialled, `${status} ${target}`).to.deep.equal([PUBLIC])
        expect(host.requests.length - before, `${status} ${target}`).to.equal(1)
      }
    }
  })
})
