import type { OriginCheck } from '../../federation/origin/proof.js'
import type { KeyDeriver } from '../../src/keys/key-deriver.js'
import { baseOf, FORMATS } from './origin-bases.js'
import type { CaseList } from './origin-cases.js'
import {
  type AttestationRecipe,
  type AuthorizationRecipe,
  attestationText,
  build,
  EXPIRES,
  GIVEN,
  messageText,
  RECEIVED_AT,
  senderText
} from './origin-messages.js'
import {
  DAY,
  host,
  MINUTE,
  NOW,
  otherHost,
  otherSender,
  recipient,
  seeded,
  sender,
  stranger
} from './origin-parties.js'
import { brokenPortables, portable } from './origin-portable.js'

/** Messages that the home host has authenticated, so it is said: what is wrong is the authorization or the attestation. */
export function homeHostVariants(list: CaseList): void {
  for (const format of FORMATS) {
    const refuse = (
      check: OriginCheck,
      name: string,
      what: string,
      authorization?: AuthorizationRecipe,
      attestation?: AttestationRecipe
    ): void => {
      const { recipe } = baseOf('home-host', format)
      list.refuse(check, `${name}-${format}`, `${format}, ${what}`, {
        ...recipe,
        ...(authorization === undefined ? {} : { authorization }),
        ...(attestation === undefined ? {} : { attestation })
      })
    }
    for (const [name, what, authorization] of periods()) {
      refuse('sender-authorization-period', name, `under an authorization ${what}`, authorization)
    }
    for (const [name, what, authorization] of authorizations()) {
      refuse('sender-authorization-signature', name, `under an authorization ${what}`, authorization)
    }
    for (const [name, what, receivedAt] of moments()) {
      refuse('attestation-time', name, `received ${what}`, undefined, { receivedAt })
    }
    for (const [name, what, attestation, authorization] of attestations(format)) {
      refuse('attestation-signature', name, `attested ${what}`, authorization, attestation)
    }
  }
  brokenSignatures(list)
}

/** Signed by the sender all the same. */
function periods(): [name: string, what: string, authorization: AuthorizationRecipe][] {
  return [
    ['ends-before', 'that ends before it begins', { given: NOW, expires: NOW - 1 }],
    ['swapped', 'whose beginning and end are in each other’s place', { given: EXPIRES, expires: GIVEN }],
    ['too-long', 'of 90 days and a millisecond', { expires: GIVEN + 90 * DAY + 1 }],
    ['for-ever', 'for ever', { given: 0, expires: Number.MAX_SAFE_INTEGER }],
    ['ends-at-0', 'that ends in 1970', { expires: 0 }]
  ]
}

function authorizations(): [name: string, what: string, authorization: AuthorizationRecipe][] {
  const key = host.identityKey
  const good = senderText(key, GIVEN, EXPIRES)
  const texts: [name: string, what: string, text: string][] = [
    [
      'signed-for-another-host',
      'that the sender gave to another host',
      senderText(otherHost.identityKey, GIVEN, EXPIRES)
    ],
    ['end-changed', 'whose end was changed after it was signed', senderText(key, GIVEN, EXPIRES - 1)],
    ['end-changed-by-a-lot', 'that is longer than the sender signed', senderText(key, GIVEN, GIVEN + DAY)],
    [
      'beginning-changed',
      'whose beginning was changed after it was signed',
      senderText(key, GIVEN - 1, EXPIRES)
    ],
    ['signed-swapped', 'signed with its times in each other’s place', senderText(key, EXPIRES, GIVEN)],
    [
      'signed-for-upper-case',
      'signed with the host’s key in upper case',
      senderText(key.toUpperCase(), GIVEN, EXPIRES)
    ],
    [
      'times-as-text',
      'signed with its times as text',
      JSON.stringify(['peerserv sender', 1, key, String(GIVEN), String(EXPIRES)])
    ],
    ['other-version', 'of another version', good.replace(',1,', ',2,')],
    ['version-as-text', 'whose version is text', good.replace(',1,', ',"1",')],
    ['other-name', 'of another name', good.replace('sender', 'Sender')],
    ['with-blanks', 'signed over JSON with blanks', good.replaceAll(',', ', ')],
    ['with-more', 'signed over one element more', good.replace(']', ',null]')],
    ['as-object', 'signed over an object', JSON.stringify({ hostKey: key, given: GIVEN, expires: EXPIRES })],
    ['routing-text', 'that is a routing authorization', `${key} host.example ALL`],
    [
      'message-text',
      'that is the signature of a message',
      messageText(recipient.identityKey, 'inbox', 'id', 'hello', NOW)
    ],
    ['empty-text', 'signed over nothing', '']
  ]
  const signed = (signer: KeyDeriver) => ({
    signature: (text: string) => portable(signer, text, 'by another')
  })
  return [
    ...texts.map(([name, what, text]): [string, string, AuthorizationRecipe] => [
      name,
      what,
      { signature: () => portable(sender, text, name) }
    ]),
    ['by-another-sender', 'by another sender', signed(otherSender)],
    ['by-the-recipient', 'by the recipient', signed(recipient)],
    ['by-the-host', 'by the host itself', signed(host)],
    [
      'for-another-host',
      'for another host, which attests nothing',
      { hostKey: otherHost.identityKey, signature: () => portable(sender, good, 'for') }
    ],
    [
      'attestation-in-its-place',
      'with the attestation’s signature',
      {
        signature: () =>
          portable(host, attestationText('00'.repeat(32), sender.identityKey, RECEIVED_AT), 'place')
      }
    ]
  ]
}

function moments(): [name: string, what: string, receivedAt: number][] {
  return [
    ['before', 'ten minutes and a millisecond before the authorization was given', GIVEN - 10 * MINUTE - 1],
    ['long-before', 'a day before', GIVEN - DAY],
    ['at-0', 'in 1970', 0],
    ['after', 'a millisecond after its end', EXPIRES + 1],
    ['long-after', 'long after its end', Number.MAX_SAFE_INTEGER]
  ]
}

function attestations(
  format: string
): [name: string, what: string, attestation: AttestationRecipe, authorization?: AuthorizationRecipe][] {
  const base = baseOf('home-host', format as 'brc104')
  const { values } = build(base.recipe)
  const id = values.envelopeId!
  const another = build({ ...base.recipe, label: 'another envelope' }).values.envelopeId!
  const good = attestationText(id, sender.identityKey, RECEIVED_AT)
  const over = (text: string): AttestationRecipe => ({
    signature: () => portable(host, text, 'attests otherwise')
  })
  const by = (signer: KeyDeriver): AttestationRecipe => ({
    signature: () => portable(signer, good, 'attests for another')
  })
  return [
    ['by-another-host', 'by another host', by(otherHost)],
    ['by-the-sender', 'by the sender', by(sender)],
    ['by-the-recipient', 'by the recipient', by(recipient)],
    ['by-a-stranger', 'by a stranger', by(stranger)],
    [
      'authorized-host-other',
      'by the home host, where the authorization is for another',
      {},
      { hostKey: otherHost.identityKey }
    ],
    ['for-another-envelope', 'for another envelope of the same sender', { envelopeId: another }],
    [
      'for-the-hash-of-the-bytes',
      'for the hash of the signed bytes, without who signed them',
      over(attestationText(seeded('hash', 32).toString('hex'), sender.identityKey, RECEIVED_AT))
    ],
    [
      'for-upper-case',
      'for the envelope’s id in upper case',
      over(attestationText(id.toUpperCase(), sender.identityKey, RECEIVED_AT))
    ],
    [
      'for-base64',
      'for the envelope’s id in base64',
      over(attestationText(Buffer.from(id, 'hex').toString('base64'), sender.identityKey, RECEIVED_AT))
    ],
    [
      'for-half-an-id',
      'for half of the envelope’s id',
      over(attestationText(id.slice(0, 32), sender.identityKey, RECEIVED_AT))
    ],
    ['for-another-sender', 'for another sender', { sender: otherSender.identityKey }],
    ['for-no-sender', 'for no sender', over(JSON.stringify(['peerserv attestation', 1, id, RECEIVED_AT]))],
    [
      'time-changed',
      'at another time than it says',
      over(attestationText(id, sender.identityKey, RECEIVED_AT - 1))
    ],
    [
      'time-in-seconds',
      'at a time in seconds',
      over(attestationText(id, sender.identityKey, Math.floor(RECEIVED_AT / 1000)))
    ],
    ['time-as-text', 'at a time that is text', over(good.replace(String(RECEIVED_AT), `"${RECEIVED_AT}"`))],
    ['other-version', 'in another version', over(good.replace(',1,', ',2,'))],
    ['other-name', 'under another name', over(good.replace('attestation', 'acknowledgement'))],
    ['with-blanks', 'over JSON with blanks', over(good.replaceAll(',', ', '))],
    ['with-more', 'over one element more', over(good.replace(']', ',null]'))],
    ['empty-text', 'over nothing', over('')],
    [
      'authorization-in-its-place',
      'with the authorization’s signature',
      { signature: () => portable(sender, senderText(host.identityKey, GIVEN, EXPIRES), 'authorization') }
    ]
  ]
}

function brokenSignatures(list: CaseList): void {
  const { name, recipe } = baseOf('home-host')
  const { values } = build(recipe)
  for (const [how, what, signature] of brokenPortables(
    sender,
    values.authorizationText!,
    `${name} authorization`
  )) {
    list.refuse(
      'sender-authorization-signature',
      `portable/${how}`,
      `an authorization under a signature ${what}`,
      { ...recipe, authorization: { signature: () => signature } }
    )
  }
  for (const [how, what, signature] of brokenPortables(
    host,
    values.attestationText!,
    `${name} attestation`
  )) {
    list.refuse('attestation-signature', `portable/${how}`, `an attestation under a signature ${what}`, {
      ...recipe,
      attestation: { signature: () => signature }
    })
  }
}
