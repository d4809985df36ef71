import { PublicKey } from '@bsv/sdk'
import { asking, BASES, baseOf, proofOf, set, setIn, without } from './origin-bases.js'
import type { Acceptance, CaseList } from './origin-cases.js'
import { type Recipe, sealed } from './origin-messages.js'
import {
  DAY,
  host,
  NOW,
  otherHost,
  otherRecipient,
  recipient,
  sender,
  thirdRecipient
} from './origin-parties.js'
import { json, liveSend, type Members } from './origin-requests.js'

const TWO = [recipient, otherRecipient]
const THREE = [recipient, otherRecipient, thirdRecipient]

/** Messages that a host must take: each proof in each format, for one and several, in every spelling. */
export function genuineMessages(list: CaseList): void {
  for (const { name, origin, format, recipe } of BASES) {
    list.accept(name, `${format}, proven by ${origin}`, recipe, { origin })
  }
  liveUnderAuthrite(list)
  severalRecipients(list)
  severalProofs(list)
  passedOn(list)
  spellings(list)
}

/** What authrite-js signs on a socket is the data of the event alone. */
function liveUnderAuthrite(list: CaseList): void {
  const data = (message: Members): Members => liveSend(message).data as Members
  for (const origin of ['signature', 'home-host', 'sealed'] as const) {
    const label = `live-authrite-${origin}`
    list.accept(
      label,
      `a live send under Authrite, proven by ${origin}`,
      {
        label,
        format: 'authrite',
        ...proofOf(origin, label),
        bytes: (_, message) => json(data(message))
      },
      { origin }
    )
  }
  list.accept(
    'live-authrite-room-counts',
    'a live send under Authrite whose message names another recipient and box than its room',
    {
      label: 'live-authrite-room-counts',
      format: 'authrite',
      attested: true,
      bytes: (_, message) => {
        const { roomId } = data(message)
        const others = { recipient: otherRecipient.identityKey, messageBox: 'other' }
        return json({ roomId, message: { ...message, ...others } })
      }
    },
    { origin: 'home-host' }
  )
}

function severalRecipients(list: CaseList): void {
  for (const format of ['brc104', 'authrite'] as const) {
    for (const origin of ['signature', 'home-host', 'sealed'] as const) {
      const label = `three-${origin}-${format}`
      const recipe: Recipe = { label, format, recipients: THREE, ...proofOf(origin, label) }
      list.accept(label, `${format} for three recipients, all of them asked, proven by ${origin}`, recipe, {
        origin
      })
      const wire = asking(THREE.slice(1).map(({ identityKey }) => identityKey))
      list.accept(
        `${label}-asked-for-two`,
        'the same, for two of them',
        { ...recipe, wire },
        { origin, asked: [1, 2] }
      )
    }
  }
  const label = 'three-with-integers'
  list.accept(
    label,
    'without message ids, for three',
    { label, recipients: THREE, messageId: undefined, signed: true },
    { origin: 'signature' }
  )
  list.accept(
    'one-in-an-array',
    'for one recipient, named in an array',
    {
      label: 'one-in-an-array',
      signed: true,
      message: ({ recipient: one, signature, ...rest }) => ({
        recipients: [one],
        ...rest,
        signatures: [signature]
      })
    },
    { origin: 'signature' }
  )
  list.accept(
    'named-twice',
    'for one recipient, named both ways',
    { label: 'named-twice', signed: true, message: m => ({ ...m, recipients: [m.recipient] }) },
    { origin: 'signature' }
  )
}

/** More than one proof, or proofs for some. */
function severalProofs(list: CaseList): void {
  const all: Recipe = { signed: true, attested: true, ...sealed('all-proofs') }
  const cases: [name: string, what: string, recipe: Recipe, acceptance: Acceptance][] = [
    ['all-proofs', 'signed by the sender, attested and sealed', all, { origin: 'signature' }],
    [
      'signed-and-attested',
      'signed by the sender, and attested',
      { signed: true, attested: true },
      { origin: 'signature' }
    ],
    [
      'signed-and-sealed',
      'signed by the sender, and sealed',
      { signed: true, ...sealed('signed-and-sealed') },
      { origin: 'signature' }
    ],
    [
      'attested-and-sealed',
      'attested and sealed',
      { attested: true, ...sealed('attested-and-sealed') },
      { origin: 'home-host' }
    ],
    [
      'attested-with-a-bad-signature',
      'with a signature that is none, and attested',
      { attested: true, signed: () => 'none' },
      { origin: 'home-host' }
    ],
    [
      'sealed-with-a-bad-signature',
      'with a signature that is none, and sealed: no better than any sealed message',
      { signed: () => 'none', ...sealed('sealed-with-a-bad-signature') },
      { origin: 'sealed' }
    ],
    [
      'sealed-with-a-bad-attestation',
      'with an attestation by the wrong host, and sealed',
      { attested: true, attestation: { signer: otherHost }, ...sealed('sealed-with-a-bad-attestation') },
      { origin: 'sealed' }
    ],
    [
      'signed-with-a-bad-attestation',
      'signed, beside an attestation by the wrong host',
      { signed: true, attested: true, attestation: { signer: otherHost } },
      { origin: 'signature' }
    ],
    [
      'signed-for-one',
      'signed for the first of two recipients',
      { recipients: TWO, signed: (signature, _, index) => (index === 0 ? signature : null) },
      { origin: 'signature', unproven: { 1: 'no-proof' } }
    ],
    [
      'signed-for-the-second',
      'signed for both, badly for the first',
      { recipients: TWO, signed: (signature, _, index) => (index === 1 ? signature : 'none') },
      { origin: 'signature', unproven: { 0: 'signature' } }
    ]
  ]
  for (const [name, what, recipe, acceptance] of cases)
    list.accept(name, what, { label: name, ...recipe }, acceptance)
}

/** What a host hands on that did not authenticate the sender itself. */
function passedOn(list: CaseList): void {
  for (const { name, origin, recipe } of BASES) {
    const firstSeen = NOW - 3 * DAY
    list.accept(
      `passed-on-${name}`,
      'passed on by another host of the recipient, which says when the message was first seen',
      { ...recipe, wire: set({ recipients: [recipient.identityKey], firstSeen }) },
      origin === 'sealed' ? { origin, time: firstSeen } : { origin }
    )
  }
  for (const { name, origin, format, recipe } of BASES) {
    if (format === 'brc103') continue
    list.accept(
      `plain-${name}`,
      'without the format, as from a plain BRC-34 host',
      { ...recipe, wire: without('signedMessageFormat') },
      { origin }
    )
  }
}

/** Other spellings of what means the same. */
function spellings(list: CaseList): void {
  const { recipe } = baseOf('home-host')
  const upper = (value: unknown): string => String(value).toUpperCase()
  const uncompressed = String(PublicKey.fromString(sender.identityKey).encode(false, 'hex'))
  const cases: [name: string, what: string, wire: (body: Members) => Members][] = [
    [
      'sender-in-upper-case',
      'the sender’s key in upper case',
      body => ({ ...body, originalSender: upper(body.originalSender) })
    ],
    ['sender-uncompressed', 'the sender’s key uncompressed', set({ originalSender: uncompressed })],
    [
      'linkage-in-upper-case',
      'the linkage in upper case',
      body => ({ ...body, keyLinkage: upper(body.keyLinkage) })
    ],
    [
      'signature-in-upper-case',
      'the signature in upper case',
      body => ({ ...body, senderSignature: upper(body.senderSignature) })
    ],
    [
      'recipients-in-upper-case',
      'a recipient asked for in upper case',
      asking([upper(recipient.identityKey)])
    ],
    ['recipients-null', 'recipients null', set({ recipients: null })],
    ['unknown-members', 'members that nobody knows', set({ more: 1, keyLinkageProof: {}, payment: null })],
    [
      'host-key-in-upper-case',
      'the host’s key in upper case',
      setIn('senderAuthorization', { hostKey: upper(host.identityKey) })
    ]
  ]
  for (const [name, what, wire] of cases)
    list.accept(name, what, { ...recipe, wire }, { origin: 'home-host' })
}
