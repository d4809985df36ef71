import type { OriginCheck } from '../../federation/origin/proof.js'
import { type Base, baseOf, FORMATS, set, without } from './origin-bases.js'
import type { CaseList } from './origin-cases.js'
import { type ForgedLinkage, forgeFromMessage } from './origin-forgery.js'
import { build, CREATED_AT, type Recipe, sealed } from './origin-messages.js'
import {
  host,
  NOW,
  otherRecipient,
  otherSender,
  recipient,
  sender,
  thirdRecipient
} from './origin-parties.js'
import type { Members } from './origin-requests.js'

/*
 * Messages whose key linkage holds although the sender never signed them: it can be made to fit anything. What refuses
 * them is that the proof that comes with them is another message's.
 */

/** What a forger would have the sender say, by the members of the message. */
const CHANGES: readonly (readonly [name: string, change: (message: Members) => Members])[] = [
  ['body', set({ body: 'never written by the sender' })],
  ['body-longer', message => ({ ...message, body: `${String(message.body)} ` })],
  ['recipient', set({ recipient: otherRecipient.identityKey })],
  ['box', set({ messageBox: 'payment_inbox' })],
  ['id', set({ messageId: 'another-id' })],
  ['id-missing', without('messageId')],
  ['time', set({ createdAt: CREATED_AT + 1 })],
  [
    'recipients',
    message => ({
      ...without('recipient', 'signature')(message),
      recipients: [recipient.identityKey, otherRecipient.identityKey],
      messageId: ['a', 'b']
    })
  ]
]

export function forgedVariants(list: CaseList): void {
  for (const format of FORMATS) {
    forgedBeside(list, baseOf('home-host', format), 'attestation-signature')
    forgedBeside(list, baseOf('signature', format), 'signature')
    bare(list, baseOf('home-host', format))
    unsealed(list, baseOf('sealed', format))
    freshEnvelopes(list, baseOf('home-host', format))
  }
  swappedProofs(list)
  otherRecipientsAsked(list)
}

/** The genuine proof beside other words, under a linkage made from the genuine one, or from the public key alone. */
function forgedBeside(list: CaseList, { name, origin, format, recipe }: Base, check: OriginCheck): void {
  const genuine = build(recipe)
  for (const [what, message] of CHANGES) {
    if (format === 'brc103' && what === 'recipients') continue
    if (what === 'time' && origin !== 'signature') continue
    const failing = what === 'recipients' && origin === 'signature' ? 'no-proof' : check
    const forged = build({ ...recipe, message, forged: true })
    const proof = without('keyLinkage', 'signedMessage', 'senderSignature')(genuine.body)
    const shifted = forgeFromMessage(genuine, genuine.signedBytes, forged.signedBytes)
    list.refuseBody(
      failing,
      `forged/${name}-${what}-from-public-key`,
      `${format}: another ${what} under the genuine proof, made from the public key alone`,
      { ...forged.body, ...proof }
    )
    list.refuseBody(
      failing,
      `forged/${name}-${what}-from-message`,
      `${format}: another ${what} under the genuine proof, with the genuine signature and another offset`,
      { ...forged.body, ...proof, ...hex(shifted) }
    )
  }
}

function hex({ senderSignature, keyLinkage }: ForgedLinkage): Members {
  return { senderSignature: senderSignature.toString('hex'), keyLinkage: keyLinkage.toString('hex') }
}

/** Nothing but BRC-34's own four members. */
function bare(list: CaseList, { name, format, recipe }: Base): void {
  const proofs = ['senderAuthorization', 'hostAttestation']
  const { body } = build(recipe)
  const cases: [name: string, what: string, body: Members][] = [
    ['bare', 'a genuine request without any proof', without(...proofs)(body)],
    ['authorization-alone', 'without the attestation', without('hostAttestation')(body)],
    ['attestation-alone', 'without the authorization', without('senderAuthorization')(body)],
    [
      'proofs-null',
      'with null for both proofs',
      set({ senderAuthorization: null, hostAttestation: null })(body)
    ],
    [
      'bare-forged',
      'made from the public key alone',
      without(...proofs)(build({ ...recipe, forged: true }).body)
    ]
  ]
  for (const [how, what, changed] of cases)
    list.refuseBody('no-proof', `${how}-${name}`, `${format}, ${what}`, changed)
}

/** What was sealed once, in clear. */
function unsealed(list: CaseList, { name, format, recipe }: Base): void {
  list.refuse(
    'no-proof',
    `unsealed-${name}`,
    `${format}, a sealed message whose body was replaced, made from the public key alone`,
    {
      ...recipe,
      body: 'in clear',
      forged: true
    }
  )
}

/** An old proof around another envelope: the same words, authenticated again. */
function freshEnvelopes(list: CaseList, { name, format, recipe }: Base): void {
  const { body } = build(recipe)
  const fresh = build({ ...recipe, label: `${name} fresh` })
  const { senderAuthorization, hostAttestation } = body
  const proof = { senderAuthorization, hostAttestation }
  const cases: [name: string, what: string, body: Members][] = [
    ['fresh-envelope', 'the same words in a fresh envelope', set(proof)(fresh.body)],
    ['other-key-id', 'under the key id of another envelope', set({ keyID: fresh.keyID })(body)],
    ['key-id-missing', 'without its key id', without('keyID')(body)],
    ['key-id-null', 'with null for its key id', set({ keyID: null })(body)],
    ['key-id-empty', 'with an empty key id', set({ keyID: '' })(body)],
    ['key-id-blank-behind', 'with a blank behind its key id', set({ keyID: `${String(body.keyID)} ` })(body)],
    ['key-id-cut', 'with its key id cut off', set({ keyID: String(body.keyID).slice(0, 20) })(body)],
    [
      'key-id-swapped',
      'with the nonces of its key id in each other’s place',
      set({ keyID: String(body.keyID).split(' ').reverse().join(' ') })(body)
    ],
    [
      'same-words-of-another',
      'the same words of another sender',
      set(proof)(build({ ...recipe, sender: otherSender }).body)
    ]
  ]
  for (const [how, what, changed] of cases) {
    const check = how === 'same-words-of-another' ? 'sender-authorization-signature' : 'attestation-signature'
    list.refuseBody(check, `${how}-${name}`, `${format}, attested: ${what}`, changed)
  }
}

/** Proofs of one message beside another one of the same people. */
function swappedProofs(list: CaseList): void {
  const bodies = new Map(FORMATS.map(format => [format, build(baseOf('home-host', format).recipe).body]))
  for (const format of FORMATS) {
    for (const other of FORMATS) {
      if (other === format) continue
      const { hostAttestation } = bodies.get(other)!
      const changed = set({ hostAttestation })(bodies.get(format)!)
      list.refuseBody(
        'attestation-signature',
        `swapped-${format}-${other}`,
        `${format}, with the attestation of a message in ${other}`,
        changed
      )
    }
  }
  const three = build({
    label: 'swapped-three',
    recipients: [recipient, otherRecipient, thirdRecipient],
    attested: true
  })
  const one = build({ label: 'swapped-one', attested: true })
  const { hostAttestation } = one.body
  list.refuseBody(
    'attestation-signature',
    'swapped-three-one',
    'for three recipients, with the attestation of a message for one',
    set({ hostAttestation })(three.body)
  )
}

/** Recipients whom the sender did not name. */
function otherRecipientsAsked(list: CaseList): void {
  const keys = [recipient, otherRecipient, thirdRecipient, sender, host].map(({ identityKey }) => identityKey)
  const [first, second, third, own, home] = keys
  const asks: [name: string, what: string, recipients: unknown[]][] = [
    ['another', 'somebody whom the sender did not name', [second]],
    ['one-more', 'somebody besides the one whom he named', [first, second]],
    ['two-others', 'two whom he did not name', [second, third]],
    ['sender', 'the sender', [own]],
    ['host', 'the home host', [home]]
  ]
  for (const origin of ['signature', 'home-host', 'sealed'] as const) {
    for (const format of FORMATS) {
      const { name, recipe } = baseOf(origin, format)
      for (const [how, what, recipients] of asks) {
        list.refuse('recipients', `${how}-${name}`, `${format}, asking for ${what}`, {
          ...recipe,
          wire: set({ recipients })
        })
      }
    }
  }
  const label = 'three-asked'
  const three: Recipe = {
    label,
    recipients: [recipient, otherRecipient, thirdRecipient],
    ...sealed(label),
    createdAt: NOW
  }
  list.refuse('recipients', 'three-and-another', 'asking for three who were named and one who was not', {
    ...three,
    wire: set({ recipients: keys.slice(0, 4) })
  })
}
