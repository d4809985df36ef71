import { expect } from 'chai'
import fc from 'fast-check'
import { domainToBaseUrl, parseDomain } from '../../federation/phip/domain.js'
import type { Network } from '../../src/config.js'
import { DOMAINS_OF_EVERY_NETWORK, DOMAINS_OF_LOCAL, DOMAINS_OF_NO_NETWORK } from '../support/phip-domains.js'

const RUNS = { numRuns: 2000 }
const PUBLIC: readonly Network[] = ['private', 'test', 'main']
const NETWORKS: readonly Network[] = ['local', ...PUBLIC]

describe('parseDomain', () => {
  for (const domain of DOMAINS_OF_EVERY_NETWORK) {
    it(`takes ${show(domain)} everywhere`, () => {
      for (const network of NETWORKS) {
        expect(parseDomain(domain, network), network).to.deep.equal({ ok: true, value: domain })
      }
    })
  }

  for (const domain of DOMAINS_OF_LOCAL) {
    it(`takes ${show(domain)} on the local network only`, () => {
      expect(parseDomain(domain, 'local')).to.deep.equal({ ok: true, value: domain })
      for (const network of PUBLIC) expect(parseDomain(domain, network), network).to.include({ ok: false })
    })
  }

  for (const domain of DOMAINS_OF_NO_NETWORK) {
    it(`takes ${show(domain)} nowhere`, () => {
      for (const network of NETWORKS) {
        const parsed = parseDomain(domain, network)
        expect(parsed.ok, network).to.equal(false)
        if (!parsed.ok) expect(parsed.reason).to.be.a('string').and.not.equal('')
      }
    })
  }

  it('takes only what a URL parser reads as the same host and port', () => {
    fc.assert(
      fc.property(likelyDomain(), fc.constantFrom(...NETWORKS), (text, network) => {
        const parsed = parseDomain(text, network)
        if (!parsed.ok) return
        expect(parsed.value).to.equal(text)
        const url = new URL(domainToBaseUrl(parsed.value, network))
        const [name, port] = text.split(':')
        expect(url.hostname).to.equal(name)
        expect(url.port).to.equal(port === undefined || port === '80' ? '' : port)
        expect(`${url.username}${url.password}${url.pathname}${url.search}${url.hash}`).to.equal('/')
        if (network !== 'local') {
          expect(port).to.equal(undefined)
          expect(url.hostname)
            .to.include('.')
            .and.not.match(/^[0-9.]+$/)
        }
      }),
      RUNS
    )
  })

  it('answers any text, however long, at once', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }))
    fc.assert(
      fc.property(text, fc.constantFrom(...NETWORKS), (start, network) => {
        expect(parseDomain(start, network).ok).to.be.a('boolean')
        expect(parseDomain('a.'.repeat(50_000) + start, network).ok).to.equal(false)
      }),
      RUNS
    )
  })
})

describe('domainToBaseUrl', () => {
  it('is HTTPS, and plain HTTP on the local network', () => {
    expect(domainToBaseUrl('peerserv.example.org', 'main')).to.equal('https://peerserv.example.org')
    expect(domainToBaseUrl('peerserv.example.org', 'private')).to.equal('https://peerserv.example.org')
    expect(domainToBaseUrl('localhost:3000', 'local')).to.equal('http://localhost:3000')
  })
})

/** Texts of which many are domains. */
function likelyDomain(): fc.Arbitrary<string> {
  const unit = fc.constantFrom(...'abz019-', 'x', 'xn--', '0x', '127', '255', 'A', '_', 'é', '%41', ' ')
  const label = fc.string({ unit, minLength: 1, maxLength: 6 })
  const name = fc.array(fc.oneof(label, fc.constantFrom('org', '127', '0', '1', 'localhost')), {
    minLength: 1,
    maxLength: 4
  })
  const port = fc.constantFrom('', '', '', ':80', ':3000', ':0', ':65536', ':x')
  return fc.tuple(name, port).map(([labels, suffix]) => labels.join('.') + suffix)
}

function show(domain: string): string {
  return JSON.stringify(domain.length > 60 ? `${domain.slice(0, 30)}… (${domain.length})` : domain)
}
