import { expect } from 'chai'
import { judgeOrigin, type ProvenMessage } from '../../federation/origin/proof.js'
import { parsePropagatedMessage } from '../../federation/origin/propagated-message.js'
import {
  attest,
  attestationFault,
  LONGEST_AUTHORIZATION,
  senderAuthorizationText
} from '../../federation/origin/sender-authorization.js'
import { readConfiguration } from '../../src/config.js'
import { ApiError } from '../../src/errors.js'
import { signPortably } from '../../src/keys/portable-signature.js'
import { curve, TestUser } from '../support/client.js'
import { vector } from '../support/vectors.js'

const { limits } = readConfiguration({}).config
/** The moment that the vectors speak of. */
const NOW = 1_767_225_600_000

type Body = Record<string, unknown>

function judge(body: unknown, now = NOW): ProvenMessage {
  return judgeOrigin(curve, limits, parsePropagatedMessage(curve, limits.recipientsPerSend, body), now)
}

/** What the request, or its only recipient, is refused with. */
function refusal(body: unknown, now = NOW): { code: string; check: unknown; status: number } {
  try {
    const { verdict } = judge(body, now).recipients[0]!
    if (verdict.ok) throw new Error(`accepted as ${verdict.origin}`)
    return { code: verdict.code, check: verdict.check, status: verdict.httpStatus }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    return { code: error.code, check: error.details.check, status: error.httpStatus }
  }
}

describe('proof of origin (protocol section 4)', () => {
  for (const id of ['propagate-brc104', 'propagate-authrite', 'propagate-signature', 'propagate-sealed']) {
    it(`accepts the vector ${id}`, () => {
      const { body, expect: wanted } = vector(id)
      const proven = judge(body)
      const [recipient] = proven.recipients
      expect(recipient!.verdict).to.include({ ok: true, origin: wanted.origin })
      expect(proven.envelopeId.toString('hex')).to.equal(wanted.envelopeId)
      expect(recipient!.recipient).to.equal(wanted.recipient)
      expect(proven.message.messageBox).to.equal(wanted.messageBox)
      expect(recipient!.messageId).to.equal(wanted.messageId)
    })
  }

  for (const id of ['propagate-bare', 'propagate-forged', 'propagate-forged-from-public-key']) {
    it(`refuses the vector ${id}, whose linkage holds`, () => {
      expect(refusal(vector(id).body)).to.include({ code: 'ERR_ORIGIN_UNPROVEN', status: 403 })
    })
  }

  it('refuses a linkage that does not hold, whatever proof comes with it', () => {
    const { body } = vector('propagate-signature')
    for (const keyLinkage of ['00'.repeat(32), 'ff'.repeat(32), '01'.repeat(32)]) {
      expect(refusal({ ...body, keyLinkage })).to.include({ check: 'key-linkage' })
    }
    expect(refusal({ ...body, originalSender: vector('keys').keys.server.identityKey })).to.include({
      check: 'key-linkage'
    })
  })

  it('names the part of an attestation that is wrong', () => {
    const body = vector('propagate-brc104').body as Body
    const authorization = body.senderAuthorization as Body
    const attestation = body.hostAttestation as Body
    const cases: [Body, string][] = [
      [{ senderAuthorization: undefined }, 'no-proof'],
      [{ hostAttestation: undefined }, 'no-proof'],
      [
        { senderAuthorization: { ...authorization, expires: (authorization.expires as number) + 1 } },
        'sender-authorization-signature'
      ],
      [
        {
          senderAuthorization: {
            ...authorization,
            expires: (authorization.given as number) + LONGEST_AUTHORIZATION + 1
          }
        },
        'sender-authorization-period'
      ],
      [
        { senderAuthorization: { ...authorization, hostKey: vector('keys').keys.operator.identityKey } },
        'sender-authorization-signature'
      ],
      [
        { hostAttestation: { ...attestation, receivedAt: (attestation.receivedAt as number) + 1 } },
        'attestation-signature'
      ],
      [
        { hostAttestation: { ...attestation, receivedAt: (authorization.expires as number) + 1 } },
        'attestation-time'
      ],
      [{ hostAttestation: { ...attestation, signature: authorization.signature } }, 'attestation-signature']
    ]
    for (const [change, check] of cases) {
      expect(refusal({ ...body, ...change }), check).to.include({ check, code: 'ERR_ORIGIN_UNPROVEN' })
    }
  })

  it("does not take another envelope's attestation", () => {
    const body = vector('propagate-brc104').body as Body
    const { hostAttestation } = vector('propagate-authrite').body
    expect(refusal({ ...body, hostAttestation })).to.include({ check: 'attestation-signature' })
  })

  it('compares the times of an attestation with the authorization, with ten minutes for the clocks', () => {
    const sender = new TestUser('sender')
    const host = new TestUser('host')
    const id = Buffer.alloc(32, 5)
    const [given, expires] = [NOW, NOW + 1_000_000]
    const text = senderAuthorizationText(host.identityKey, given, expires)
    const authorization = {
      hostKey: host.identityKey,
      given,
      expires,
      signature: signPortably(sender.keys, text)
    }
    const fault = (receivedAt: number) =>
      attestationFault(
        curve,
        sender.identityKey,
        id,
        authorization,
        attest(host.keys, id, sender.identityKey, receivedAt)
      )
    expect(fault(given)).to.equal(undefined)
    expect(fault(given - 600_000)).to.equal(undefined)
    expect(fault(given - 600_001)).to.equal('attestation-time')
    expect(fault(expires)).to.equal(undefined)
    expect(fault(expires + 1)).to.equal('attestation-time')
  })

  it('refuses what has expired, and asks to come back with what lies ahead', () => {
    const { body } = vector('propagate-signature')
    expect(refusal(body, NOW + limits.timeToLive * 1000)).to.include({
      code: 'ERR_MESSAGE_EXPIRED',
      status: 400
    })
    expect(refusal(body, NOW - 10 * 60_000 - 1)).to.include({ code: 'ERR_MESSAGE_EARLY', status: 425 })
    expect(judge(body, NOW - 10 * 60_000).recipients[0]!.verdict.ok).to.equal(true)
  })

  it('counts the life of a sealed message from when it was first seen, which nobody can put into the future', () => {
    const { body } = vector('propagate-sealed')
    const time = (firstSeen: number | undefined) => {
      const { verdict } = judge({ ...body, firstSeen }).recipients[0]!
      return verdict.ok && verdict.time
    }
    expect(time(undefined)).to.equal(NOW)
    expect(time(NOW - 5)).to.equal(NOW - 5)
    expect(time(NOW + 5)).to.equal(NOW)
  })

  it('refuses recipients that the sender did not name', () => {
    const { body } = vector('propagate-signature')
    const stranger = new TestUser('stranger').identityKey
    expect(refusal({ ...body, recipients: [stranger] })).to.include({ check: 'recipients' })
  })

  it('refuses malformed members with 400 and says which', () => {
    const { body } = vector('propagate-signature')
    for (const member of ['originalSender', 'keyLinkage', 'signedMessage', 'senderSignature']) {
      for (const value of [undefined, null, 5, '', 'zz', {}, []]) {
        expect(refusal({ ...body, [member]: value }).code, member).to.equal('ERR_INVALID_PROPAGATION')
      }
    }
  })
})
