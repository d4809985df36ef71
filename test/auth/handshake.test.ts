import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { checkSessionNonce } from '../../src/auth/session-nonce.js'
import { identityKeyBytes } from '../../src/keys/identity-key.js'
import { exchange, handshakeRequest, jsonRequest, type RawAnswer, TestUser } from '../support/client.js'
import { startToyNode, type ToyNode } from './toy-node.js'

const alice = new TestUser('alice')
const nodeKeys = new TestUser('toy node').keys
const PATH = '/.well-known/auth'

describe('POST /.well-known/auth', () => {
  let node: ToyNode
  before(async () => {
    node = await startToyNode()
  })
  after(() => node.stop())

  const initialNonce = randomBytes(48).toString('base64')
  const initialRequest = {
    version: '0.1',
    messageType: 'initialRequest',
    identityKey: alice.identityKey,
    initialNonce,
    requestedCertificates: { certifiers: [], types: {} }
  }

  it('answers an initialRequest with a signed initialResponse, in body and headers', async () => {
    const answer = await exchange(node.url, handshakeRequest(alice.identityKey, initialNonce))
    expect(answer.status).to.equal(200)
    const body = jsonOf(answer)
    expect(body).to.include({
      version: '0.1',
      messageType: 'initialResponse',
      identityKey: node.identityKey,
      yourNonce: initialNonce,
      nonce: body.initialNonce
    })
    expect(body).to.deep.include({ certificates: [], requestedCertificates: { certifiers: [], types: {} } })
    const nonce = String(body.initialNonce)
    expect(
      alice.keys.verify(
        Buffer.from(initialNonce + nonce, 'base64'),
        Buffer.from(body.signature as number[]),
        `2-auth message signature-${initialNonce} ${nonce}`,
        identityKeyBytes(node.identityKey)
      )
    ).to.equal(true)
    expect(answer.headers).to.include({
      'x-bsv-auth-version': '0.1',
      'x-bsv-auth-message-type': 'initialResponse',
      'x-bsv-auth-identity-key': node.identityKey,
      'x-bsv-auth-nonce': nonce,
      'x-bsv-auth-your-nonce': initialNonce,
      'x-bsv-auth-signature': Buffer.from(body.signature as number[]).toString('hex')
    })
  })

  it('signs what vector brc103-handshake signs', () => {
    const vectors = JSON.parse(readFileSync(new URL('../vectors/wire.json', import.meta.url), 'utf8')).vectors
    const vector = vectors.find(({ id }: { id: string }) => id === 'brc103-handshake')
    const server = new TestUser(Buffer.alloc(32, 0x44)).keys
    const signed = server.sign(
      Buffer.from(vector.signedData, 'hex'),
      vector.invoiceNumber,
      identityKeyBytes(vector.request.identityKey)
    )
    expect(signed.toString('hex')).to.equal(vector.signatureHex)
    expect([...signed]).to.deep.equal(vector.response.signature)
    const { initialNonce: server64, yourNonce } = vector.response
    expect(vector.signedData).to.equal(Buffer.from(yourNonce + server64, 'base64').toString('hex'))
    expect(vector.invoiceNumber).to.equal(`2-auth message signature-${yourNonce} ${server64}`)
  })

  it('gives sessions dated now, or when the memory of replays began if that is later', async () => {
    const issuedAt = async () => {
      const body = jsonOf(await exchange(node.url, jsonRequest(PATH, initialRequest)))
      return checkSessionNonce(nodeKeys, String(body.initialNonce), alice.identityKey, node.clock.time)
        ?.issuedAt
    }
    expect(await issuedAt()).to.equal(node.clock.time)
    node.epoch.bornAt = node.clock.time + 5_000
    expect(await issuedAt()).to.equal(node.clock.time + 5_000)
    node.epoch.bornAt = 0
  })

  const taken: [what: string, change: Record<string, unknown>][] = [
    ['`nonce` for `initialNonce`', { initialNonce: undefined, nonce: initialNonce }],
    ['empty payload and signature', { payload: [], signature: [] }],
    ['no requestedCertificates', { requestedCertificates: undefined }],
    ['a key in capitals', { identityKey: alice.identityKey.toUpperCase() }],
    ['an initial nonce of 16 bytes', { initialNonce: randomBytes(16).toString('base64') }],
    ['an initial nonce of 128 bytes', { initialNonce: randomBytes(128).toString('base64') }],
    [
      'a request for certificates',
      { requestedCertificates: { certifiers: [alice.identityKey], types: { AA: ['x'] } } }
    ]
  ]
  for (const [what, change] of taken) {
    it(`takes ${what}`, async () => {
      const answer = await exchange(node.url, jsonRequest(PATH, { ...initialRequest, ...change }))
      expect(answer.status, answer.body.toString()).to.equal(200)
      const body = jsonOf(answer)
      const nonce = String(body.initialNonce)
      expect(checkSessionNonce(nodeKeys, nonce, alice.identityKey, node.clock.time)).to.not.equal(undefined)
    })
  }

  const refused: [what: string, change: Record<string, unknown>][] = [
    ['no version', { version: undefined }],
    ['version 1.0', { version: '1.0' }],
    ['no identity key', { identityKey: undefined }],
    ['an identity key off the curve', { identityKey: `02${'ff'.repeat(32)}` }],
    ['an identity key that is an object', { identityKey: {} }],
    ['no nonce', { initialNonce: undefined }],
    ['a nonce that is a number', { initialNonce: 5 }],
    ['a nonce of 15 bytes', { initialNonce: randomBytes(15).toString('base64') }],
    ['a nonce of 129 bytes', { initialNonce: randomBytes(129).toString('base64') }],
    ['a nonce in base64url', { initialNonce: '-_'.repeat(32) }],
    ['a nonce with a blank', { initialNonce: ` ${initialNonce}` }],
    ['no message type', { messageType: undefined }],
    ['a general message', { messageType: 'general' }],
    ['an initialResponse', { messageType: 'initialResponse' }]
  ]
  for (const [what, change] of refused) {
    it(`refuses ${what}`, async () => {
      const answer = await exchange(node.url, jsonRequest(PATH, { ...initialRequest, ...change }))
      expect(answer.status).to.equal(401)
      const body = jsonOf(answer)
      expect(body).to.include({ status: 'error', code: 'UNAUTHORIZED', message: body.description })
    })
  }

  const malformed: [what: string, body: string, status: number, code: string][] = [
    ['no body', '', 400, 'ERR_INVALID_JSON'],
    ['no JSON', 'hello', 400, 'ERR_INVALID_JSON'],
    ['a member twice', '{"version":"0.1","version":"0.1"}', 400, 'ERR_INVALID_JSON'],
    ['an array', '[]', 401, 'UNAUTHORIZED'],
    ['null', 'null', 401, 'UNAUTHORIZED'],
    ['more than 64 KiB', ' '.repeat(65_537), 413, 'ERR_REQUEST_TOO_LARGE']
  ]
  for (const [what, body, status, code] of malformed) {
    it(`refuses ${what} with ${status}`, async () => {
      const answer = await exchange(node.url, jsonRequest(PATH, body))
      expect(answer.status).to.equal(status)
      expect(jsonOf(answer).code).to.equal(code)
    })
  }

  describe('certificateRequest', () => {
    const requestedCertificates = { certifiers: [alice.identityKey], types: { AAAA: ['name', 'email'] } }

    async function certificateRequest(change: Record<string, unknown> = {}, signer = alice) {
      const session = await alice.handshake(node.url)
      const nonce = randomBytes(32).toString('base64')
      const signature = signer.keys.sign(
        Buffer.from(JSON.stringify(requestedCertificates)),
        `2-auth message signature-${nonce} ${session.nodeNonce}`,
        identityKeyBytes(node.identityKey)
      )
      const message = {
        version: '0.1',
        messageType: 'certificateRequest',
        identityKey: alice.identityKey,
        nonce,
        initialNonce: session.clientNonce,
        yourNonce: session.nodeNonce,
        requestedCertificates,
        signature: [...signature],
        ...change
      }
      return { session, answer: await exchange(node.url, jsonRequest(PATH, message)) }
    }

    it('is answered with no certificates, signed', async () => {
      const { session, answer } = await certificateRequest()
      const body = jsonOf(answer)
      expect(body).to.deep.include({ messageType: 'certificateResponse', certificates: [] })
      expect(body).to.include({ initialNonce: session.nodeNonce, yourNonce: session.clientNonce })
      const invoiceNumber = `2-auth message signature-${body.nonce} ${session.clientNonce}`
      const signature = Buffer.from(body.signature as number[])
      const counterparty = identityKeyBytes(node.identityKey)
      expect(alice.keys.verify(Buffer.from('[]'), signature, invoiceNumber, counterparty)).to.equal(true)
    })

    const bad: [what: string, change: Record<string, unknown>, code: string][] = [
      [
        'another question than was signed',
        { requestedCertificates: { certifiers: [], types: {} } },
        'ERR_AUTH_FAILED'
      ],
      ['a session that is not ours', { yourNonce: randomBytes(103).toString('base64') }, 'ERR_AUTH_FAILED'],
      ["another identity's session", { identityKey: new TestUser('bob').identityKey }, 'ERR_AUTH_FAILED'],
      ['no session', { yourNonce: undefined }, 'UNAUTHORIZED'],
      ['no nonce', { nonce: undefined }, 'UNAUTHORIZED'],
      ['no question', { requestedCertificates: undefined }, 'UNAUTHORIZED'],
      ['no signature', { signature: undefined }, 'ERR_AUTH_FAILED'],
      ['a signature of strings', { signature: ['48'] }, 'ERR_AUTH_FAILED'],
      ['a signature of wrong numbers', { signature: [256, -1, 0.5] }, 'ERR_AUTH_FAILED'],
      ['a long signature', { signature: Array(73).fill(48) }, 'ERR_AUTH_FAILED']
    ]
    for (const [what, change, code] of bad) {
      it(`refuses ${what}`, async () => {
        const { answer } = await certificateRequest(change)
        expect(answer.status).to.equal(401)
        expect(jsonOf(answer).code).to.equal(code)
      })
    }

    it("refuses another user's signature", async () => {
      const { answer } = await certificateRequest({}, new TestUser('bob'))
      expect(jsonOf(answer).code).to.equal('ERR_AUTH_FAILED')
    })
  })

  it('answers a certificateResponse with an empty object', async () => {
    const message = {
      version: '0.1',
      messageType: 'certificateResponse',
      identityKey: alice.identityKey,
      certificates: []
    }
    const answer = await exchange(node.url, jsonRequest(PATH, message))
    expect(answer.status).to.equal(200)
    expect(jsonOf(answer)).to.deep.equal({})
  })
})

function jsonOf(answer: RawAnswer): Record<string, unknown> {
  return JSON.parse(answer.body.toString())
}
