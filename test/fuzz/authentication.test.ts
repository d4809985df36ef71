import { Utils } from '@bsv/sdk'
import { expect } from 'chai'
import fc from 'fast-check'
import { proveAuthrite, readAuthriteClaim } from '../../src/auth/authrite.js'
import { authriteHandshake } from '../../src/auth/authrite-handshake.js'
import { decodeBase64 } from '../../src/auth/base64.js'
import { handshake } from '../../src/auth/handshake.js'
import { parseRequestPreimage, type SignedRequest } from '../../src/auth/parse-preimage.js'
import { requestPreimage } from '../../src/auth/preimage.js'
import { parseRequestTarget } from '../../src/auth/request-target.js'
import {
  AUTHRITE_SESSIONS,
  checkSessionNonce,
  mintSessionNonce,
  SESSION_LIFE
} from '../../src/auth/session-nonce.js'
import { parseJson } from '../../src/json.js'
import { curve, TestUser } from '../support/client.js'
import {
  answerOrRefusal,
  anyJson,
  describeFuzz,
  inputs,
  laterAnswerOrRefusal,
  mutatedBytes,
  mutatedJson,
  mutatedText,
  timely
} from '../support/fuzz.js'
import { build, type Recipe } from '../support/origin-messages.js'
import { seededBase64 } from '../support/origin-parties.js'
import { preimage, requestParts } from '../support/origin-requests.js'

const NOW = 1_800_000_000_000
const { keys } = new TestUser('node of fuzz')
const user = new TestUser('user of fuzz')

describeFuzz('fuzz: the request preimage of BRC-104', () => {
  const genuine = [
    build({ label: 'fuzz' } satisfies Recipe).signedBytes,
    preimage({
      ...requestParts('fuzz', Buffer.from('{}')),
      query: '?a=b',
      headers: [
        ['authorization', 'a'],
        ['content-type', 'b'],
        ['x-bsv-c', 'é']
      ]
    }),
    preimage({ ...requestParts('fuzz', Buffer.alloc(300)), method: 'GET', headers: [], body: undefined })
  ]
  const bytes = fc.oneof(
    { weight: 4, arbitrary: mutatedBytes(fc.constantFrom(...genuine)) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) }
  )

  it('is read, or not, and what is read is what would be signed', () => {
    fc.assert(
      fc.property(bytes, input => {
        const parsed = timely(() => parseRequestPreimage(input))
        if (parsed === undefined) return
        expect(read(input)).to.deep.equal(parsed)
        // An empty body could be absent, too; everything else has one form.
        if (parsed.body?.length === 0) return
        const body = parsed.body === undefined ? [] : [parsed.body]
        expect(requestPreimage({ ...parsed, body }).equals(input)).to.equal(true)
      }),
      inputs()
    )
  })

  /** As the reader of @bsv/sdk goes through the same bytes. */
  function read(input: Uint8Array): SignedRequest {
    const reader = new Utils.Reader([...input])
    const field = (): Buffer | undefined => {
      const length = reader.readVarIntNum()
      return length === -1 ? undefined : Buffer.from(reader.read(length))
    }
    const requestId = Buffer.from(reader.read(32))
    const [method, path, query] = [field(), field(), field()].map(text => text?.toString())
    const headers = Array.from({ length: reader.readVarIntNum() }, () => ({
      name: String(field()),
      value: String(field())
    }))
    const body = field()
    expect(reader.eof()).to.equal(true)
    return { requestId, method: method!, path: path!, query: query ?? '', headers, body }
  }

  it('has a target that is read, or not', () => {
    const targets = mutatedText(
      fc.constantFrom('/sendMessage', '//a/b?c=d&e', 'http://host:80/lookup?x', '/%2e%2e/?')
    )
    fc.assert(
      fc.property(fc.oneof(targets, fc.string({ unit: 'binary' })), raw => {
        const target = timely(() => parseRequestTarget(raw))
        if (target === undefined) return
        expect(`${raw}?`.includes(`${target.path}${target.query}?`)).to.equal(true)
      }),
      inputs()
    )
  })
})

describeFuzz('fuzz: session nonces', () => {
  const initialNonce = seededBase64('initial nonce', 48)
  const nonce = mintSessionNonce(keys, { identityKey: user.identityKey, initialNonce, issuedAt: NOW })
  const bytes = Buffer.from(nonce, 'base64')

  it('are those that this node gave, and no others', () => {
    expect(checkSessionNonce(keys, nonce, user.identityKey, NOW)).to.not.equal(undefined)
    const others = fc.oneof(
      mutatedBytes(fc.constant(bytes)).map(changed => changed.toString('base64')),
      mutatedText(fc.constant(nonce)),
      fc.base64String(),
      fc.string({ unit: 'binary' })
    )
    fc.assert(
      fc.property(others, fc.integer({ min: NOW - SESSION_LIFE, max: NOW + SESSION_LIFE }), (text, now) => {
        const session = timely(() => checkSessionNonce(keys, text, user.identityKey, now))
        if (text !== nonce) expect(session).to.equal(undefined)
      }),
      inputs()
    )
  })

  it('are base64 of one spelling', () => {
    fc.assert(
      fc.property(fc.oneof(mutatedText(fc.constant(nonce)), fc.base64String(), anyJson()), text => {
        const decoded = timely(() => decodeBase64(text, 1, 256))
        if (decoded === undefined) return
        expect(decoded.toString('base64')).to.equal(text)
        expect([...decoded]).to.deep.equal(Utils.toArray(String(text), 'base64'))
      }),
      inputs()
    )
  })
})

describeFuzz('fuzz: the handshake', () => {
  const auth = { keys, curve, clock: { now: () => NOW }, epoch: { bornAt: 0, renew: async () => undefined } }
  const initialNonce = seededBase64('initial nonce', 48)
  const yourNonce = mintSessionNonce(keys, { identityKey: user.identityKey, initialNonce, issuedAt: NOW })
  const nonce = seededBase64('nonce', 32)
  const requestedCertificates = { certifiers: [], types: {} }
  const asked = Buffer.from(JSON.stringify(requestedCertificates))
  const signature = [
    ...user.keys.sign(asked, `2-auth message signature-${nonce} ${yourNonce}`, keys.publicKey)
  ]
  const common = { version: '0.1', identityKey: user.identityKey, initialNonce }
  const messages = [
    { ...common, messageType: 'initialRequest', requestedCertificates },
    { ...common, messageType: 'certificateRequest', nonce, yourNonce, requestedCertificates, signature },
    { ...common, messageType: 'certificateResponse', nonce, yourNonce, certificates: [], signature }
  ]
  const bodies = fc.oneof(
    {
      weight: 3,
      arbitrary: mutatedJson(fc.constantFrom(...messages)).map(value =>
        Buffer.from(JSON.stringify(value) ?? '')
      )
    },
    {
      weight: 1,
      arbitrary: mutatedBytes(fc.constantFrom(...messages).map(value => Buffer.from(JSON.stringify(value))))
    }
  )

  async function answer(body: Buffer) {
    if (handshake.authenticated) throw new Error('nobody is known before')
    const json = (): unknown => parseJson(body)
    const query = new URLSearchParams()
    return handshake.handler(
      { headers: {}, query, body, clientAddress: '127.0.0.1', whenLeft() {}, json },
      auth
    )
  }

  it('answers every message that it takes, and refuses every other with a reason', async () => {
    for (const message of messages)
      expect((await answer(Buffer.from(JSON.stringify(message)))).body).to.be.an('object')
    await fc.assert(
      fc.asyncProperty(bodies, async body => {
        const reply = await laterAnswerOrRefusal(() => answer(body))
        if ('refusal' in reply) expect([400, 401]).to.include(reply.refusal.httpStatus)
        else expect(JSON.stringify(reply.answer.body)).to.not.contain(user.privateKey.toString('hex'))
      }),
      inputs()
    )
  })
})

describeFuzz('fuzz: Authrite', () => {
  const auth = { keys, curve, clock: { now: () => NOW }, epoch: { bornAt: 0, renew: async () => undefined } }
  const initialNonce = seededBase64('initial nonce', 32)
  const session = { identityKey: user.identityKey, initialNonce, issuedAt: NOW }
  const sessionNonce = mintSessionNonce(keys, session, AUTHRITE_SESSIONS)
  const nonce = seededBase64('nonce', 32)
  const body = Buffer.from('{"messageBox":"inbox"}')
  const invoiceNumber = `2-authrite message signature-${nonce} ${sessionNonce}`
  const headers: Readonly<Record<string, unknown>> = {
    'x-authrite': '0.2',
    'x-authrite-identity-key': user.identityKey,
    'x-authrite-nonce': nonce,
    'x-authrite-initialnonce': initialNonce,
    'x-authrite-yournonce': sessionNonce,
    'x-authrite-signature': user.keys.sign(body, invoiceNumber, keys.publicKey).toString('hex'),
    'x-authrite-certificates': '[]'
  }
  const changedHeaders = fc.oneof(
    { weight: 3, arbitrary: mutatedJson(fc.constant(headers)) },
    {
      weight: 3,
      arbitrary: fc.tuple(fc.constantFrom(...Object.keys(headers)), fc.nat(5)).chain(([name]) =>
        fc.oneof(mutatedText(fc.constant(String(headers[name]))), anyJson()).map(value => ({
          ...headers,
          [name]: value
        }))
      )
    }
  )

  it('has headers that are read, or refused with a reason, and proves nobody by others', async () => {
    expect((await proveAuthrite(auth, readAuthriteClaim(auth, headers), body)).identityKey).to.equal(
      user.identityKey
    )
    await fc.assert(
      fc.asyncProperty(changedHeaders, fc.boolean(), async (changed, isOtherBody) => {
        if (typeof changed !== 'object' || changed === null) return
        const read = answerOrRefusal(() =>
          timely(() => readAuthriteClaim(auth, changed as Record<string, unknown>))
        )
        if ('refusal' in read) {
          expect([400, 401]).to.include(read.refusal.httpStatus)
          return
        }
        // Whatever was changed, the session says who it is.
        expect(read.answer.identityKey).to.equal(user.identityKey)
        const signedBytes = isOtherBody ? Buffer.from('{"messageBox":"other"}') : body
        const proven = await laterAnswerOrRefusal(() => proveAuthrite(auth, read.answer, signedBytes))
        if ('refusal' in proven) expect(proven.refusal.httpStatus).to.equal(401)
        else {
          expect(isOtherBody).to.equal(false)
          expect(read.answer.nonce).to.equal(nonce)
        }
      }),
      inputs()
    )
  })

  it('has a handshake that is answered, or refused with a reason', async () => {
    const greeting = { authrite: '0.2', messageType: 'initialRequest', identityKey: user.identityKey, nonce }
    const bodies = mutatedJson(fc.constant(greeting)).map(value => Buffer.from(JSON.stringify(value) ?? ''))
    await fc.assert(
      fc.asyncProperty(bodies, async bytes => {
        if (authriteHandshake.authenticated) throw new Error('nobody is known before')
        const { handler } = authriteHandshake
        const json = (): unknown => parseJson(bytes)
        const request = {
          headers: {},
          query: new URLSearchParams(),
          body: bytes,
          clientAddress: '127.0.0.1',
          whenLeft() {},
          json
        }
        const reply = await laterAnswerOrRefusal(() => handler(request, auth))
        if ('refusal' in reply) expect(reply.refusal.httpStatus).to.equal(400)
        else expect(reply.answer.body).to.have.property('messageType', 'initialResponse')
      }),
      inputs()
    )
  })
})
