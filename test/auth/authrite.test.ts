import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import {
  authriteInvoiceNumber,
  authriteSignature,
  proveAuthrite,
  readAuthriteClaim
} from '../../src/auth/authrite.js'
import { StaleSession } from '../../src/auth/stale-session.js'
import type { Endpoint } from '../../src/endpoint.js'
import { identityKeyBytes } from '../../src/keys/identity-key.js'
import { KeyDeriver } from '../../src/keys/key-deriver.js'
import {
  type AuthriteAnswer,
  type AuthriteSession,
  AuthriteUser,
  withAuthriteHeader
} from '../support/authrite-user.js'
import { curve, exchange, jsonRequest, type RawRequest, TestUser } from '../support/client.js'
import { vector } from '../support/vectors.js'
import { RawConnection } from './raw-connection.js'
import { MEGABYTE, startToyNode, type ToyNode } from './toy-node.js'

const DAY = 24 * 60 * 60 * 1000

const stale: Endpoint<void> = {
  method: 'POST',
  path: '/stale',
  authenticated: true,
  handler: async ({ query }) => {
    throw new StaleSession(query.has('unknown') ? 'unknown' : 'replayed')
  }
}

for (const version of ['0.2', '0.1']) {
  describe(`requests under Authrite ${version}`, () => {
    let node: ToyNode
    let otherNode: ToyNode
    let session: AuthriteSession
    const alice = new AuthriteUser('alice', version)
    const bob = new AuthriteUser('bob', version)
    before(async () => {
      node = await startToyNode({ endpoints: [stale] })
      otherNode = await startToyNode({ seed: 'another node' })
      session = await alice.handshake(node.url)
    })
    after(() => Promise.all([node.stop(), otherNode.stop()]))

    const ask = (request: RawRequest) => alice.send(node.url, session, request)
    const signed = () => alice.post(session, '/echo', { a: 1 })

    it('are answered signed, errors too', async () => {
      const answer = await ask(signed())
      expect(answer).to.include({ status: 200, signature: 'valid' })
      expect(answer.json).to.include({ caller: alice.user.identityKey, text: '{"a":1}' })
      for (const [path, status] of [
        ['/refuse', 400],
        ['/fail', 500]
      ] as const) {
        expect(await ask(alice.post(session, path, {}))).to.include({ status, signature: 'valid' })
      }
      const notJson = await ask(alice.post(session, '/json', '{'))
      expect(notJson).to.include({ status: 400, signature: 'valid' })
      expect(notJson.json.code).to.equal('ERR_INVALID_JSON')
    })

    it('are taken as they are: bytes, blanks, long ones, and {} for none', async () => {
      for (const body of ['{ "a" : 1 }\n', 'é'.repeat(300_000), 'x']) {
        const answer = await ask(alice.post(session, '/echo', body))
        expect(answer).to.include({ status: 200, signature: 'valid' })
        expect(answer.json.text).to.equal(body)
      }
      const none = { ...alice.post(session, '/json', '{}'), body: Buffer.alloc(0) }
      expect((await ask(none)).json).to.deep.equal({ received: {} })
    })

    it('are taken with an uncompressed key, and in upper case', async () => {
      const uncompressed = Buffer.from(curve.uncompress(alice.user.keys.publicKey)).toString('hex')
      for (const key of [uncompressed, alice.user.identityKey.toUpperCase()]) {
        const answer = await ask(withAuthriteHeader(signed(), 'x-authrite-identity-key', key))
        expect(answer.json.caller, key).to.equal(alice.user.identityKey)
      }
    })

    it('sign their URL where there can be no body', async () => {
      const get = (scheme: string, target: string, more: Partial<RawRequest> = {}): RawRequest => {
        const url = Buffer.from(`${scheme}://${new URL(node.url).host}${target}`)
        const headers = alice.headers(session, url)
        return { method: 'GET', target, body: Buffer.alloc(0), headers, ...more }
      }
      for (const scheme of ['http', 'https']) {
        const answer = await ask(get(scheme, '/read?a=1&b=%20'))
        expect(answer).to.include({ status: 200, signature: 'valid' })
        expect(answer.json.caller).to.equal(alice.user.identityKey)
      }
      expect(await ask(get('http', '/read', { method: 'HEAD' }))).to.include({
        status: 200,
        signature: 'valid'
      })
      const withBody = await ask(get('http', '/read', { body: Buffer.from('unsigned') }))
      expect(withBody.json, 'what nobody signed').to.include({ received: '' })
      for (const request of [
        get('http', '/read?a=1', { target: '/read?a=2' }),
        get('ftp', '/read'),
        { ...signed(), method: 'GET', target: '/read' }
      ]) {
        expectRefusal(await ask(request), 401, 'ERR_AUTHRITE_INVALID_SIGNATURE')
      }
    })

    it('keep their session for 90 days, whatever becomes of the node', async () => {
      const began = node.clock.time
      node.clock.time += 90 * DAY - 60_000
      const replica = await startToyNode()
      replica.clock.time = node.clock.time
      expect((await ask(signed())).status).to.equal(200)
      expect((await alice.send(replica.url, session, signed())).status).to.equal(200)
      await replica.stop()
      node.clock.time += 60_000
      expectRefusal(await ask(signed()), 401, 'ERR_AUTHRITE_BAD_SERVER_NONCE')
      node.clock.time = began
    })

    it('are refused signed where they come again', async () => {
      const again = await ask(alice.post(session, '/stale', {}))
      expect(again).to.include({ status: 401, signature: 'valid' })
      expect(again.json.code).to.equal('ERR_AUTH_FAILED')
      const away = await ask(alice.post(session, '/stale?unknown', {}))
      expect(away).to.include({ status: 503, signature: 'valid' })
      expect(node.epoch.renewals).to.equal(1)
    })

    const initial = version === '0.2' ? ['x-authrite-initialnonce'] : []
    for (const name of ['identity-key', 'nonce', 'yournonce', 'signature'].map(n => `x-authrite-${n}`)) {
      it(`are refused without ${name}, with it empty or malformed`, async () => {
        for (const value of [undefined, '', name === 'x-authrite-yournonce' ? '' : '!']) {
          const answer = await ask(withAuthriteHeader(signed(), name, value))
          expectRefusal(answer, 400, 'ERR_AUTHRITE_MISSING_HEADERS')
          expect(answer.json.description).to.contain(name)
        }
      })
    }
    for (const name of initial) {
      it(`are refused without ${name}, and with another`, async () => {
        for (const value of [undefined, randomBytes(32).toString('base64')]) {
          expectRefusal(
            await ask(withAuthriteHeader(signed(), name, value)),
            400,
            'ERR_AUTHRITE_MISSING_HEADERS'
          )
        }
      })
    }

    it('are refused under another version, and say which one this node speaks', async () => {
      for (const other of ['0.3', '1', '', '0.2, 0.2']) {
        const answer = await ask(withAuthriteHeader(signed(), 'x-authrite', other))
        expectRefusal(answer, 400, 'ERR_AUTHRITE_VERSION_MISMATCH')
        expect(answer.json).to.include({ serverVersion: '0.2', clientVersion: other })
      }
    })

    const tampered: [what: string, code: string, change: (request: RawRequest) => RawRequest][] = [
      ['another body', 'SIGNATURE', request => ({ ...request, body: Buffer.from('{"a":2}') })],
      ['a body of other blanks', 'SIGNATURE', request => ({ ...request, body: Buffer.from('{"a": 1}') })],
      ['no body', 'SIGNATURE', request => ({ ...request, body: Buffer.alloc(0) })],
      [
        'another nonce',
        'SIGNATURE',
        request => withAuthriteHeader(request, 'x-authrite-nonce', randomBytes(32).toString('base64'))
      ],
      [
        'the signature of another request',
        'SIGNATURE',
        request => {
          const [, other] = alice
            .post(session, '/echo', { a: 2 })
            .headers.find(([name]) => name === 'x-authrite-signature')!
          return withAuthriteHeader(request, 'x-authrite-signature', other)
        }
      ],
      [
        "another user's key",
        'NONCE',
        request => withAuthriteHeader(request, 'x-authrite-identity-key', bob.user.identityKey)
      ],
      [
        'a nonce nobody gave',
        'NONCE',
        request => withAuthriteHeader(request, 'x-authrite-yournonce', randomBytes(87).toString('base64'))
      ]
    ]
    for (const [what, code, change] of tampered) {
      it(`are refused with ${what}`, async () => {
        const name = code === 'NONCE' ? 'ERR_AUTHRITE_BAD_SERVER_NONCE' : 'ERR_AUTHRITE_INVALID_SIGNATURE'
        expectRefusal(await ask(change(signed())), 401, name)
      })
    }

    it("are refused in another user's session, another node's, and one of BRC-104", async () => {
      const inBobs = await bob.handshake(node.url)
      expectRefusal(
        await alice.send(node.url, inBobs, alice.post(inBobs, '/echo', {})),
        401,
        'ERR_AUTHRITE_BAD_SERVER_NONCE'
      )
      const elsewhere = await alice.handshake(otherNode.url)
      expectRefusal(await ask(alice.post(elsewhere, '/echo', {})), 401, 'ERR_AUTHRITE_BAD_SERVER_NONCE')
      const { clientNonce, nodeNonce } = await new TestUser('alice').handshake(node.url)
      expectRefusal(
        await ask(alice.post({ ...session, clientNonce, nodeNonce }, '/echo', {})),
        401,
        'ERR_AUTHRITE_BAD_SERVER_NONCE'
      )
      // And the other way about.
      const stock = new TestUser('alice')
      const request = stock.sign(
        { nodeKey: node.identityKey, clientNonce: session.clientNonce, nodeNonce: session.nodeNonce },
        { method: 'POST', target: '/echo' }
      )
      const refused = await stock.send(node.url, request)
      expect(refused.status).to.equal(401)
      expect(refused.json.code).to.equal('ERR_AUTH_FAILED')
    })

    it('are not read before their session is known to be of this node', async () => {
      const connection = await RawConnection.open(node.url)
      const headers = withAuthriteHeader(signed(), 'x-authrite-yournonce', 'AAAA').headers
      const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
      // Announced, and never sent.
      connection.write(
        `POST /echo HTTP/1.1\r\nhost: x\r\n${lines}content-length: ${MEGABYTE}\r\nconnection: close\r\n\r\n`
      )
      expect(await connection.untilClosed()).to.contain('ERR_AUTHRITE_BAD_SERVER_NONCE')
    })

    it('cost the address that sends forged ones, and not the one that signs', async () => {
      const few = await startToyNode({ rates: { address: 5, identity: 1_000, peer: 1_000, pair: 1_000 } })
      const own = await alice.handshake(few.url)
      for (let i = 0; i < 20; i++) {
        expect((await alice.send(few.url, own, alice.post(own, '/echo', {}))).status).to.equal(200)
      }
      const forged = () =>
        alice.send(few.url, own, { ...alice.post(own, '/echo', {}), body: Buffer.from('1') })
      const statuses: number[] = []
      for (let i = 0; i < 20; i++) statuses.push((await forged()).status)
      expect(statuses.at(-1)).to.equal(429)
      await few.stop()
    })
  })
}

describe('POST /authrite/initialRequest', () => {
  let node: ToyNode
  before(async () => {
    node = await startToyNode()
  })
  after(() => node.stop())
  const alice = new AuthriteUser('alice')
  const nonce = randomBytes(32).toString('base64')

  const bad: [what: string, body: unknown, code: string][] = [
    ['what is no object', '[]', 'ERR_BAD_REQUEST_BODY'],
    ['what is no JSON', '{', 'ERR_INVALID_JSON'],
    ['no version', { ...alice.greeting(nonce), authrite: undefined }, 'ERR_MISSING_AUTHRITE_VERSION'],
    ['another version', { ...alice.greeting(nonce), authrite: '0.3' }, 'ERR_AUTHRITE_VERSION_MISMATCH'],
    [
      'a version that is a number',
      { ...alice.greeting(nonce), authrite: 0.2 },
      'ERR_AUTHRITE_VERSION_MISMATCH'
    ],
    ...['messageType', 'identityKey', 'nonce'].flatMap(member =>
      [undefined, 1, 'x'].map((value): [string, unknown, string] => [
        `${member} ${value}`,
        { ...alice.greeting(nonce), [member]: value },
        'ERR_AUTHRITE_MISSING_INITIAL_REQUEST_PARAMS'
      ])
    )
  ]
  for (const [what, body, code] of bad) {
    it(`refuses ${what}`, async () => {
      const { status, body: answer } = await exchange(node.url, jsonRequest('/authrite/initialRequest', body))
      expect(status).to.equal(400)
      expect(JSON.parse(answer.toString())).to.include({ status: 'error', code })
    })
  }

  it('answers with a signature over the texts of both nonces, and asks for no certificates', async () => {
    for (const version of ['0.1', '0.2']) {
      const request = jsonRequest('/authrite/initialRequest', {
        ...alice.greeting(nonce),
        authrite: version
      })
      const answer = JSON.parse((await exchange(node.url, request)).body.toString())
      expect(answer).to.deep.include({
        authrite: version,
        messageType: 'initialResponse',
        identityKey: node.identityKey,
        certificates: [],
        requestedCertificates: { certifiers: [], types: {} }
      })
      const isSigned = alice.user.keys.verify(
        Buffer.from(nonce + answer.nonce),
        Buffer.from(answer.signature, 'hex'),
        authriteInvoiceNumber(`${nonce} ${answer.nonce}`),
        identityKeyBytes(answer.identityKey)
      )
      expect(isSigned).to.equal(true)
    }
  })
})

describe('vectors of Authrite', () => {
  const server = new TestUser(Buffer.alloc(32, 0x44))
  const auth = {
    keys: new KeyDeriver(curve, server.privateKey),
    curve,
    clock: { now: () => Date.now() },
    epoch: { bornAt: 0, renew: async () => undefined }
  }
  const { headers02, body, signature, invoiceNumber } = vector('authrite-sendMessage-request')
  const identityKey = String(headers02['x-authrite-identity-key'])
  const session = {
    initialNonce: String(headers02['x-authrite-initialnonce']),
    issuedAt: 0,
    expiresAt: 1
  }
  const claim = {
    version: '0.2' as const,
    identityKey,
    session,
    sessionNonce: String(headers02['x-authrite-yournonce']),
    nonce: String(headers02['x-authrite-nonce']),
    signature: Buffer.from(signature, 'hex')
  }

  it('prove their sender, by body and by URL', async () => {
    const caller = await proveAuthrite(auth, claim, Buffer.from(body))
    expect(`2-authrite message signature-${caller.envelope.keyID}`).to.equal(invoiceNumber)
    const get = vector('authrite-get-request')
    await proveAuthrite(
      auth,
      { ...claim, signature: Buffer.from(get.signature, 'hex') },
      Buffer.from(get.url)
    )
  })

  it('come in sessions that this node did not give', () => {
    expect(() => readAuthriteClaim(auth, headers02)).to.throw('The session is unknown')
  })

  it('have answers whose key ids differ by version', () => {
    const vectors = vector('authrite-response')
    for (const version of ['0.2', '0.1'] as const) {
      const told = authriteSignature(auth, { ...claim, version }, Buffer.from(vectors.body))
      const wanted = version === '0.2' ? vectors.headers02 : vectors.headers01
      for (const name of ['x-authrite', 'x-authrite-identity-key', 'x-authrite-yournonce']) {
        expect(told[name]).to.equal(wanted[name])
      }
      const user = new KeyDeriver(curve, Buffer.alloc(32, 0x33))
      for (const headers of [told, wanted]) {
        const keyID = `${headers['x-authrite-yournonce']} ${headers['x-authrite-nonce']}`
        const der = Buffer.from(String(headers['x-authrite-signature']), 'hex')
        const isSigned = user.verify(
          Buffer.from(vectors.body),
          der,
          authriteInvoiceNumber(keyID),
          server.keys.publicKey
        )
        expect(isSigned).to.equal(true)
      }
    }
  })
})

function expectRefusal(answer: AuthriteAnswer, status: number, code: string): void {
  expect(answer.status, answer.body.toString()).to.equal(status)
  expect(answer.signature).to.equal('absent')
  expect(answer.json).to.include({ status: 'error', code })
}
