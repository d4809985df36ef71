import { readFileSync } from 'node:fs'
import {
  BigNumber,
  PrivateKey,
  ProtoWallet,
  PublicKey,
  Curve as SdkCurve,
  Signature,
  SignedMessage
} from '@bsv/sdk'
import { expect } from 'chai'
import type { OriginCheck } from '../../federation/origin/proof.js'
import { readConfiguration } from '../../src/config.js'
import { loadCurve } from '../../src/curve/load.js'
import type { OriginCase } from '../support/origin-cases.js'
import { build, type Recipe } from '../support/origin-messages.js'
import { NOW, otherRecipient, privateKey, recipient, sender } from '../support/origin-parties.js'
import { brc77, portable } from '../support/origin-portable.js'
import { formatOriginVectors, originVectors } from '../support/origin-vectors.js'
import { type Verdict, verdictOf } from '../support/origin-verdict.js'

const text = readFileSync(new URL('../vectors/origin-proofs.json', import.meta.url), 'utf8')
const { cases } = JSON.parse(text) as { cases: readonly OriginCase[] }
const genuine = cases.filter(({ expect: { accept } }) => accept)
const { limits } = readConfiguration({}).config
const [native, webassembly] = [loadCurve('native'), loadCurve('webassembly')]

/** What judging a message by itself can fail for; the others depend on what a host remembers. */
const CHECKS: readonly OriginCheck[] = [
  'key-linkage',
  'signed-message',
  'recipients',
  'sender-authorization-period',
  'sender-authorization-signature',
  'attestation-time',
  'attestation-signature',
  'signature',
  'no-proof'
]

describe('test/vectors/origin-proofs.json', () => {
  it('is what its generator makes', () => {
    // Compared as text: a deep comparison of this size takes seconds.
    const made = formatOriginVectors(originVectors())
    if (made === text) return
    const lines = made.split('\n')
    const line = text.split('\n').find((written, index) => written !== lines[index])
    expect.fail(`differs, first in ${line?.slice(0, 200)}`)
  })

  it('has a thousand cases and more, each once, and every check', () => {
    expect(cases.length).to.be.at.least(1_000)
    expect(genuine.length).to.be.at.least(100)
    expect(new Set(cases.map(({ id }) => id)).size).to.equal(cases.length)
    expect(new Set(cases.map(({ body }) => JSON.stringify(body))).size).to.equal(cases.length)
    const checks = new Set(cases.map(({ expect: wanted }) => (wanted.accept ? undefined : wanted.check)))
    for (const check of CHECKS) expect(checks, check).to.include(check)
  })

  it('takes the genuine messages, and reads them as they were meant', () => {
    for (const one of genuine) {
      const { proven } = prove(one)
      expect(
        proven?.recipients.map(({ name }) => name.toString('hex')),
        one.id
      ).to.deep.equal(one.values.recipients?.map(({ name }) => name))
    }
  })

  for (const check of [...CHECKS, undefined]) {
    it(`refuses all others ${check === undefined ? 'that are no question of proof' : `for ${check}`}`, () => {
      for (const one of cases) if (!one.expect.accept && one.expect.check === check) prove(one)
    })
  }

  it('is judged alike by both implementations of the curve', () => {
    // Every few: the one in WebAssembly is slower.
    for (const { id, body, now } of cases.filter((_, index) => index % 5 === 0)) {
      const answers = [native, webassembly].map(curve =>
        JSON.stringify(verdictOf(curve, limits, body, now).answer)
      )
      expect(answers[0], id).to.equal(answers[1])
    }
  })

  /** The file's answer, and its intermediate values as far as the code under test shows them. */
  function prove({ id, what, body, now, expect: wanted, values }: OriginCase): Verdict {
    const verdict = verdictOf(native, limits, body, now)
    expect(verdict.answer, `${id}: ${what}`).to.deep.equal(wanted)
    if (verdict.proven !== undefined && values.envelopeId !== undefined) {
      expect(verdict.proven.envelopeId.toString('hex'), id).to.equal(values.envelopeId)
    }
    return verdict
  }
})

describe('@bsv/sdk, asked about origin proofs', () => {
  /** Every so many, and the one that begins so. */
  const sample = (every: number, of: (one: OriginCase) => boolean): OriginCase[] =>
    cases.filter(of).filter((_, index) => index % every === 0)
  const isRefusedFor = (check: OriginCheck) => (one: OriginCase) =>
    !one.expect.accept && one.expect.check === check

  it('finds the child key of the linkage, and the signature good under it, where the corpus says so', () => {
    const forged = cases.filter(({ id }) => /\/(forged\/.*-body-|bare-forged|unsealed)/.test(id))
    expect(forged.length).to.be.at.least(10)
    for (const one of [
      ...sample(8, ({ expect: { accept } }) => accept),
      ...sample(25, isRefusedFor('attestation-signature')),
      ...forged
    ]) {
      expect(linkageBySdk(one), one.id).to.deep.equal({ child: one.values.childPublicKey, holds: true })
    }
  })

  it('finds no good signature where the corpus says that the linkage fails', () => {
    // What is no strict DER, or of high s, the SDK may take: r and s are right. At infinity there is no key to ask about.
    const isStrict = ({ id }: OriginCase): boolean => !/\/der-|high-s|infinity/.test(id)
    for (const one of sample(7, isRefusedFor('key-linkage')).filter(isStrict)) {
      expect(linkageBySdk(one).holds, one.id).to.equal(false)
    }
  })

  it('would take the twin of high s, which is why it is refused here', () => {
    const twins = cases.filter(({ id }) => /senderSignature-high-s$/.test(id))
    expect(twins.length).to.be.at.least(3)
    for (const one of twins) expect(linkageBySdk(one).holds, one.id).to.equal(true)
  })

  it('finds the three kinds of portable signatures good as of a BRC-100 wallet', async () => {
    const { body, values } = genuine.find(({ id }) => id === 'genuine/signed-and-attested')!
    const { senderAuthorization, hostAttestation, originalSender, signedMessage } = body as Record<
      string,
      { hostKey: string; signature: string }
    > & { originalSender: string; signedMessage: string }
    const signed = Buffer.from(signedMessage, 'base64').toString('latin1')
    const own = /"signature":"([^"]+)"/.exec(signed)![1]!
    const { signedText } = values.recipients![0]!
    const all: [signer: string, signature: string, text: string][] = [
      [originalSender, own, signedText!],
      [originalSender, senderAuthorization!.signature, values.authorizationText!],
      [senderAuthorization!.hostKey, hostAttestation!.signature, values.attestationText!]
    ]
    for (const [signer, signature, what] of all)
      expect(await portableBySdk(signer, signature, what), what).to.equal(true)
  })

  it('takes for BRC-77 signatures what is refused as such', () => {
    const data = [...Buffer.from('any text')]
    const signature = [...Buffer.from(brc77(sender, 'any text', 'sdk'), 'base64')]
    expect(SignedMessage.verify(data, signature)).to.equal(true)
    const ours = [...Buffer.from(portable(sender, 'any text', 'sdk'), 'base64')]
    expect(SignedMessage.verify(data, ours)).to.equal(false)
  })

  it('opens the sealed bodies', async () => {
    const { expect: wanted } = genuine.find(({ id }) => id === 'genuine/sealed-brc104')!
    if (!wanted.accept) throw new Error('refused')
    const { encryptedMessage } = JSON.parse(wanted.text) as { encryptedMessage: string }
    const wallet = new ProtoWallet(PrivateKey.fromHex(privateKey(recipient).toString('hex')))
    const { plaintext } = await wallet.decrypt({
      protocolID: [1, 'messagebox'],
      keyID: '1',
      counterparty: sender.identityKey,
      ciphertext: [...Buffer.from(encryptedMessage, 'base64')]
    })
    expect(Buffer.from(plaintext).toString()).to.equal('"hello"')
  })

  function linkageBySdk({ body }: OriginCase): { child: string; holds: boolean } {
    const point = PublicKey.fromString(String(body.originalSender)).add(
      new SdkCurve().g.mul(new BigNumber(String(body.keyLinkage), 16))
    )
    const child = new PublicKey(point.getX(), point.getY())
    const signature = Signature.fromDER(String(body.senderSignature), 'hex')
    const bytes = [...Buffer.from(String(body.signedMessage), 'base64')]
    return { child: child.toString(), holds: child.verify(bytes, signature) }
  }

  async function portableBySdk(signer: string, signature: string, what: string): Promise<boolean> {
    const blob = Buffer.from(signature, 'base64')
    expect(blob.toString('hex', 0, 38)).to.equal(`42423301${signer}00`)
    const { valid } = await new ProtoWallet('anyone').verifySignature({
      protocolID: [2, 'peerserv proof'],
      keyID: blob.toString('base64', 38, 70),
      counterparty: signer,
      data: [...Buffer.from(what)],
      signature: [...blob.subarray(70)]
    })
    return valid
  }
})

describe('limits of the host that judges', () => {
  const judge = (recipe: Recipe, changed: Partial<typeof limits>) =>
    verdictOf(native, { ...limits, ...changed }, build(recipe).body, NOW).answer

  it('are named as such, not as a proof that fails', () => {
    const recipe: Recipe = { label: 'limits', attested: true }
    expect(judge(recipe, { messageBodyBytes: 5 })).to.include({ accept: true })
    expect(judge(recipe, { messageBodyBytes: 4 })).to.deep.equal({
      accept: false,
      httpStatus: 413,
      code: 'ERR_MESSAGE_BODY_TOO_LARGE'
    })
    const two: Recipe = { ...recipe, recipients: [recipient, otherRecipient] }
    expect(judge(two, { recipientsPerSend: 2 })).to.include({ accept: true })
    expect(judge(two, { recipientsPerSend: 1 })).to.deep.equal({
      accept: false,
      httpStatus: 400,
      code: 'ERR_TOO_MANY_RECIPIENTS'
    })
    const recipients = [recipient.identityKey, otherRecipient.identityKey]
    const asked: Recipe = { ...two, wire: body => ({ ...body, recipients }) }
    expect(judge(asked, { recipientsPerSend: 1 })).to.include({ code: 'ERR_INVALID_PROPAGATION' })
  })

  it('end the life of a message', () => {
    const recipe: Recipe = { label: 'limits', signed: true, createdAt: NOW - 1_000 }
    expect(judge(recipe, { timeToLive: 2 })).to.include({ accept: true })
    expect(judge(recipe, { timeToLive: 1 })).to.include({ code: 'ERR_MESSAGE_EXPIRED' })
  })
})
