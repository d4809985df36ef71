import { expect } from 'chai'
import {
  createOutboundDoor,
  type OutboundDoor,
  type Timeouts
} from '../../federation/channel/guarded-fetch.js'
import { OutboundError } from '../../federation/channel/outbound-error.js'
import { type CallOptions, createPeerClient, type PeerClient } from '../../federation/channel/peer-client.js'
import { PeerError } from '../../federation/channel/peer-error.js'
import { loadCurve } from '../../src/curve/load.js'
import { KeyDeriver } from '../../src/keys/key-deriver.js'
import { createLogger } from '../../src/logger.js'
import {
  dripping,
  endless,
  json,
  raw,
  redirect,
  reset,
  type Script,
  ScriptedHost,
  silent,
  truncated
} from '../support/peer.js'
import { ServerHalf, type SignedAnswer } from '../support/server-half.js'

const AUTH = 'POST /.well-known/auth'
const SUBMIT = 'POST /propagateMessage'
const MINUTE = 60_000
const OK = 'HTTP/1.1 200 OK\r\n'
const curve = loadCurve()
const keys = new KeyDeriver(curve, Buffer.alloc(32, 0x11))
const peer = new ServerHalf('22'.repeat(32))
const impostor = new ServerHalf('33'.repeat(32))
const logger = createLogger('silent')

describe('the peer client', () => {
  let host: ScriptedHost
  let door: OutboundDoor
  let client: PeerClient
  let now: number

  beforeEach(async () => {
    host = await ScriptedHost.start()
    door = createOutboundDoor({ network: 'local', logger })
    now = 1_700_000_000_000
    client = createPeerClient({ keys, door, clock: { now: () => now }, logger })
  })
  afterEach(async () => {
    door.close()
    await host.close()
  })

  /** For tests that wait for one of them; the others keep the real ones, however slow the machine is. */
  const SHORT_TIMEOUTS: Readonly<Record<string, Partial<Timeouts>>> = {
    'timeout-before-headers': { headers: 150 },
    timeout: { total: 500 }
  }
  const post = (operatorKey = peer.identityKey, body: object = { a: 1 }, options: CallOptions = {}) =>
    client.post({ domain: host.domain, operatorKey }, '/propagateMessage', body, options)

  async function failureOf(call: Promise<unknown>): Promise<PeerError | OutboundError> {
    const error = await call.then(
      () => undefined,
      (reason: unknown) => reason
    )
    if (error instanceof PeerError || error instanceof OutboundError) return error
    throw new Error(`expected a PeerError or an OutboundError, got ${error}`)
  }

  describe('with the rightful host', () => {
    it('shakes hands once, signs requests, and takes signed answers of any status', async () => {
      host.next(AUTH, peer.handshake())
      for (const status of [200, 400, 402, 403, 404, 429, 500, 503]) {
        host.next(
          SUBMIT,
          peer.signed(status, { status }, { 'retry-after': '7', 'x-bsv-b': 'ü', 'x-bsv-a': '1' })
        )
        const answer = await post()
        expect(answer.status).to.equal(status)
        expect(answer.headers).to.include({ 'retry-after': '7', 'x-bsv-a': '1' })
        expect(answer.json()).to.deep.equal({ status })
      }
      expect(host.count('/.well-known/auth')).to.equal(1)
      expect(client.shownKey(host.domain)).to.equal(peer.identityKey)
    })

    it('tells its own key and nothing else in the handshake', async () => {
      host.next(AUTH, peer.handshake()).next(SUBMIT, peer.signed(200, {}))
      await post()
      const { body, headers } = host.requests[0]!
      const told = JSON.parse(body.toString())
      expect(Buffer.from(told.initialNonce, 'base64')).to.have.length(48)
      expect(told).to.deep.equal({
        version: '0.1',
        messageType: 'initialRequest',
        identityKey: keys.identityKey,
        initialNonce: told.initialNonce,
        requestedCertificates: { certifiers: [], types: {} }
      })
      expect(headers).to.not.have.any.keys('x-bsv-auth-identity-key', 'x-bsv-auth-signature')
    })

    it('sends bytes as they are, and objects as JSON', async () => {
      host.next(AUTH, peer.handshake()).always(SUBMIT, peer.signed(200, {}))
      const bytes = Buffer.from('{ "b": [1, 2.0],\n"a": "ü" }')
      await post(peer.identityKey, bytes)
      await post(peer.identityKey, { a: 'ü' })
      expect(host.requests.slice(1).map(({ body }) => body.toString())).to.deep.equal([
        bytes.toString(),
        '{"a":"ü"}'
      ])
    })

    it('shares one handshake between calls that begin together', async () => {
      host.next(AUTH, peer.handshake()).always(SUBMIT, peer.signed(200, {}))
      await Promise.all(Array.from({ length: 20 }, () => post()))
      expect(host.count('/.well-known/auth')).to.equal(1)
      expect(host.count('/propagateMessage')).to.equal(20)
    })

    it('shakes hands again before servers begin to forget the session', async () => {
      host.next(AUTH, peer.handshake(), peer.handshake()).always(SUBMIT, peer.signed(200, {}))
      await post()
      now += 49 * MINUTE
      await post()
      expect(host.count('/.well-known/auth')).to.equal(1)
      now += MINUTE
      await post()
      expect(host.count('/.well-known/auth')).to.equal(2)
    })

    it('repairs a forgotten session once, without the caller noticing', async () => {
      host.next(AUTH, peer.handshake(), peer.handshake()).always(SUBMIT, peer.signed(200, { ok: true }))
      await post()
      peer.forget()
      expect((await post()).json()).to.deep.equal({ ok: true })
      expect(host.count('/.well-known/auth')).to.equal(2)
      expect(host.count('/propagateMessage')).to.equal(3)
    })

    it('repairs it with one handshake for all calls under way', async () => {
      host.next(AUTH, peer.handshake(), peer.handshake()).always(SUBMIT, peer.signed(200, {}))
      await post()
      peer.forget()
      await Promise.all(Array.from({ length: 20 }, () => post()))
      expect(host.count('/.well-known/auth')).to.equal(2)
    })

    it('does not go on for ever with a host that forgets every session', async () => {
      host
        .always(AUTH, peer.handshake())
        .always(SUBMIT, json(401, { description: 'Session not found for nonce' }))
      expect(await failureOf(post())).to.include({ kind: 'unauthenticated-answer' })
      expect(host.count('/.well-known/auth')).to.equal(2)
      expect(host.count('/propagateMessage')).to.equal(2)
    })

    it('reads as much of an answer as it is told to', async () => {
      host.next(AUTH, peer.handshake())
      const large = { a: 'x'.repeat(70_000) }
      host.next(SUBMIT, peer.signed(200, large), peer.signed(200, large))
      expect(await failureOf(post())).to.include({ kind: 'too-large', phase: 'after-sent' })
      const answer = await post(peer.identityKey, {}, { maximumAnswerBytes: 80_000 })
      expect(answer.json()).to.deep.equal(large)
    })

    it('says that a signed answer is not JSON only when it is asked for JSON', async () => {
      host.next(AUTH, peer.handshake())
      host.next(SUBMIT, peer.signed(200, '<html>'), peer.signed(200, '{"a":1,"a":2}'))
      for (let i = 0; i < 2; i++) {
        const answer = await post()
        expect(() => answer.json())
          .to.throw(PeerError)
          .with.property('kind', 'not-json')
      }
    })
  })

  describe('with another key than the expected one', () => {
    it('sends nothing, says which key was shown, and remembers it for an hour', async () => {
      host.next(AUTH, impostor.handshake())
      const error = await failureOf(post())
      expect(error).to.include({ kind: 'wrong-identity', shownKey: impostor.identityKey })
      expect(host.count('/propagateMessage')).to.equal(0)
      expect(client.shownKey(host.domain)).to.equal(impostor.identityKey)

      const connections = host.connections
      const requests = host.requests.length
      now += 60 * MINUTE - 1
      expect(await failureOf(post())).to.include({ kind: 'other-key-known', shownKey: impostor.identityKey })
      expect(host.connections).to.equal(connections)
      expect(host.requests).to.have.length(requests)

      now += 1
      expect(client.shownKey(host.domain)).to.equal(undefined)
      host.next(AUTH, peer.handshake()).next(SUBMIT, peer.signed(200, {}))
      expect(await post()).to.include({ status: 200 })
    })

    it('costs an honest domain nothing: its own calls go on in the session that it has', async () => {
      host.next(AUTH, peer.handshake()).always(SUBMIT, peer.signed(200, {}))
      await post()
      const strangers = Array.from(
        { length: 50 },
        (_, i) => new KeyDeriver(curve, Buffer.alloc(32, 0x40 + i)).identityKey
      )
      for (const key of strangers) expect(await failureOf(post(key))).to.include({ kind: 'other-key-known' })
      expect(await post()).to.include({ status: 200 })
      expect(host.count('/.well-known/auth')).to.equal(1)
    })

    it('asks a domain for its key once, however many keys are named for it at the same time', async () => {
      host.next(AUTH, peer.handshake()).next(SUBMIT, peer.signed(200, {}))
      const strangers = Array.from(
        { length: 50 },
        (_, i) => new KeyDeriver(curve, Buffer.alloc(32, 0x40 + i)).identityKey
      )
      const refused = strangers.map(key => failureOf(post(key)))
      expect(await post()).to.include({ status: 200 })
      for (const error of await Promise.all(refused)) expect(error).to.include({ kind: 'wrong-identity' })
      expect(host.count('/.well-known/auth')).to.equal(1)
    })

    it('counts the hour from the last proof, answers included', async () => {
      host.next(AUTH, peer.handshake()).always(SUBMIT, peer.signed(200, {}))
      await post()
      now += 49 * MINUTE
      await post()
      now += 59 * MINUTE
      expect(client.shownKey(host.domain)).to.equal(peer.identityKey)
      now += MINUTE
      expect(client.shownKey(host.domain)).to.equal(undefined)
    })

    it('notices a host that has become another one when it forgets the session', async () => {
      host.next(AUTH, peer.handshake(), impostor.handshake()).always(SUBMIT, peer.signed(200, {}))
      await post()
      peer.forget()
      expect(await failureOf(post())).to.include({ kind: 'wrong-identity', shownKey: impostor.identityKey })
      expect(client.shownKey(host.domain)).to.equal(impostor.identityKey)
    })
  })

  describe('with a handshake that proves nothing', () => {
    const CHANGES: Readonly<Record<string, (reply: Record<string, unknown>) => unknown>> = {
      'another key than the one that signed': reply => ({ ...reply, identityKey: impostor.identityKey }),
      'the key of this node': reply => ({ ...reply, identityKey: keys.identityKey }),
      'a key that is no point': reply => ({ ...reply, identityKey: `02${'ff'.repeat(32)}` }),
      'a key in upper case': reply => ({ ...reply, identityKey: String(reply.identityKey).toUpperCase() }),
      'no key': reply => ({ ...reply, identityKey: undefined }),
      'another version': reply => ({ ...reply, version: '0.2' }),
      'another type': reply => ({ ...reply, messageType: 'general' }),
      'another nonce of ours': reply => ({ ...reply, yourNonce: reply.initialNonce }),
      'another nonce of its own': reply => ({ ...reply, initialNonce: reply.yourNonce }),
      'a nonce that is no base64': reply => ({ ...reply, initialNonce: 'a\r\nx-bsv-auth-version: 0.2' }),
      'a nonce too long': reply => ({ ...reply, initialNonce: 'A'.repeat(1_000) }),
      'no nonce': reply => ({ ...reply, initialNonce: undefined }),
      'no signature': reply => ({ ...reply, signature: undefined }),
      'a signature as hex': reply => ({ ...reply, signature: '3006020101020101' }),
      'a signature of no bytes': reply => ({ ...reply, signature: [] }),
      'a signature of what are no bytes': reply => ({ ...reply, signature: Array(70).fill(256) }),
      'a changed signature': reply => ({ ...reply, signature: (reply.signature as number[]).with(20, 1) }),
      'an array': reply => [reply],
      'a string': () => 'initialResponse',
      nothing: () => null
    }

    for (const [fault, change] of Object.entries(CHANGES)) {
      it(`sends nothing after ${fault}, and takes no key for shown`, async () => {
        host.next(AUTH, peer.handshake(change))
        expect(await failureOf(post())).to.include({ kind: 'handshake-failed' })
        expect(client.shownKey(host.domain)).to.equal(undefined)
        host.next(AUTH, peer.handshake()).next(SUBMIT, peer.signed(200, {}))
        expect(await post()).to.include({ status: 200 })
      })
    }

    it('hands over what came instead, and when to come again', async () => {
      host.next(AUTH, json(429, { code: 'ERR_RATE' }, { 'retry-after': '30' }))
      const error = await failureOf(post())
      expect(error).to.be.instanceOf(PeerError).with.property('kind', 'handshake-failed')
      const { answer } = error as PeerError
      expect(answer?.status).to.equal(429)
      expect(answer?.headers['retry-after']).to.equal('30')
    })

    it('calls whatever breaks in it before-sent, for no payload has left', async () => {
      const faults: readonly (readonly [kind: string, script: Script])[] = [
        ['reset', reset],
        ['timeout-before-headers', silent],
        ['timeout', dripping(`${OK}content-length: 60000\r\n\r\n`, 'x')],
        ['too-large', endless(`${OK}\r\n`, 'x')],
        ['redirect', redirect(307, 'https://elsewhere.example/')]
      ]
      for (const [kind, script] of faults) {
        host.next(AUTH, script)
        const error = await failureOf(post(peer.identityKey, {}, { timeouts: SHORT_TIMEOUTS[kind] ?? {} }))
        expect(error, kind).to.be.instanceOf(OutboundError).and.include({ kind, phase: 'before-sent' })
        expect(client.shownKey(host.domain)).to.equal(undefined)
      }
      expect(host.count('/propagateMessage')).to.equal(0)
    })
  })

  describe('with answers that are not what they should be', () => {
    beforeEach(async () => {
      host.next(AUTH, peer.handshake()).next(SUBMIT, peer.signed(200, {}))
      await post()
    })

    it('hands over the status and Retry-After of whoever answered without signing', async () => {
      for (const status of [401, 403, 404, 429, 500, 502, 503]) {
        host.next(SUBMIT, json(status, { code: 'ERR_PROXY' }, { 'retry-after': '120' }))
        const error = await failureOf(post())
        expect(error).to.be.instanceOf(PeerError).with.property('kind', 'unauthenticated-answer')
        const { answer } = error as PeerError
        expect(answer?.status).to.equal(status)
        expect(answer?.headers['retry-after']).to.equal('120')
        expect(answer?.body.toString()).to.equal('{"code":"ERR_PROXY"}')
      }
    })

    it('never takes an unsigned success for one', async () => {
      host.next(SUBMIT, json(200, { status: 'success' }))
      expect(await failureOf(post())).to.include({ kind: 'unauthenticated-answer' })
    })

    const withHeader = (name: string, value: string) => (answer: SignedAnswer) => ({
      ...answer,
      headers: { ...answer.headers, [name]: value }
    })
    const CHANGES: Readonly<Record<string, (answer: SignedAnswer) => SignedAnswer>> = {
      'another version': withHeader('x-bsv-auth-version', '0.2'),
      'another key': withHeader('x-bsv-auth-identity-key', impostor.identityKey),
      'another nonce': withHeader('x-bsv-auth-nonce', Buffer.alloc(32).toString('base64')),
      'a nonce too long': withHeader('x-bsv-auth-nonce', 'A'.repeat(1_000)),
      'a nonce for somebody else': withHeader('x-bsv-auth-your-nonce', 'A'.repeat(64)),
      'the id of another request': withHeader('x-bsv-auth-request-id', 'A'.repeat(44)),
      'a signature of nothing': withHeader('x-bsv-auth-signature', '3006020101020101'),
      'a signature that is no hex': withHeader('x-bsv-auth-signature', 'zz'.repeat(70)),
      'a header changed after signing': withHeader('x-bsv-a', '2'),
      'a header added after signing': withHeader('x-bsv-b', '1'),
      'a header removed after signing': ({ headers: { 'x-bsv-a': _removed, ...headers }, ...answer }) => ({
        ...answer,
        headers
      }),
      'a status changed after signing': answer => ({ ...answer, status: 201 }),
      'a body changed after signing': answer => ({ ...answer, body: '{"status":"success" }' }),
      'a body removed after signing': answer => ({ ...answer, body: '' })
    }

    for (const [fault, change] of Object.entries(CHANGES)) {
      it(`refuses an answer with ${fault}`, async () => {
        host.next(SUBMIT, peer.signed(200, { status: 'success' }, { 'x-bsv-a': '1' }, change))
        expect(await failureOf(post())).to.include({ kind: 'unauthenticated-answer' })
      })
    }

    it('refuses an answer that was given before', async () => {
      let given: SignedAnswer | undefined
      const remember = (answer: SignedAnswer) => {
        given = answer
        return answer
      }
      host.next(SUBMIT, peer.signed(200, { a: 1 }, {}, remember), (_request, response) => {
        response.writeHead(200, { ...given?.headers }).end(given?.body)
      })
      await post()
      expect(await failureOf(post())).to.include({ kind: 'unauthenticated-answer' })
    })

    const FAULTS: Readonly<Record<string, readonly [kind: string, script: Script]>> = {
      'no answer': ['timeout-before-headers', silent],
      'headers that drip': ['timeout-before-headers', dripping(OK, 'x')],
      'a body that drips': ['timeout', dripping(`${OK}content-length: 60000\r\n\r\n`, 'x')],
      'a body without end': ['too-large', endless(`${OK}\r\n`, 'x')],
      'an answer cut off': ['reset', truncated(`${OK}content-length: 3\r\n\r\nx`)],
      'a broken connection': ['reset', reset],
      'a redirect': ['redirect', redirect(307, 'http://127.0.0.1/')],
      'no HTTP': ['protocol', raw('SSH-2.0-x\r\n')]
    }

    for (const [fault, [kind, script]] of Object.entries(FAULTS)) {
      it(`names ${fault} ${kind}, keeps the session, and does not try again by itself`, async () => {
        host.next(SUBMIT, script)
        const error = await failureOf(post(peer.identityKey, {}, { timeouts: SHORT_TIMEOUTS[kind] ?? {} }))
        expect(error).to.be.instanceOf(OutboundError).and.include({ kind, phase: 'after-sent' })
        host.next(SUBMIT, peer.signed(200, {}))
        expect(await post()).to.include({ status: 200 })
        expect(host.count('/.well-known/auth')).to.equal(1)
      })
    }
  })
})
