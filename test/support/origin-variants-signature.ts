import { baseOf, FORMATS } from './origin-bases.js'
import type { CaseList } from './origin-cases.js'
import { attestationText, CREATED_AT, messageText, type Recipe, senderText } from './origin-messages.js'
import {
  DAY,
  host,
  NOW,
  otherHost,
  otherRecipient,
  otherSender,
  recipient,
  sender,
  thirdRecipient
} from './origin-parties.js'
import { brokenPortables, portable } from './origin-portable.js'

const TWO = [recipient, otherRecipient]

/** Messages that the sender has signed himself, so it is said, inside a request that he did sign. */
export function signatureVariants(list: CaseList): void {
  for (const format of FORMATS) otherTexts(list, format)
  brokenSignatures(list)
  amongRecipients(list)
}

function otherTexts(list: CaseList, format: 'brc104' | 'brc103' | 'authrite'): void {
  const key = recipient.identityKey
  const good = messageText(key, 'inbox', 'id', 'hello', CREATED_AT)
  const texts: [name: string, what: string, text: string][] = [
    [
      'other-recipient',
      'for another recipient',
      messageText(otherRecipient.identityKey, 'inbox', 'id', 'hello', CREATED_AT)
    ],
    [
      'recipient-in-upper-case',
      'for the recipient in upper case',
      messageText(key.toUpperCase(), 'inbox', 'id', 'hello', CREATED_AT)
    ],
    ['other-box', 'for another box', messageText(key, 'payment_inbox', 'id', 'hello', CREATED_AT)],
    ['no-box', 'for no box', messageText(key, '', 'id', 'hello', CREATED_AT)],
    ['other-id', 'with another id', messageText(key, 'inbox', 'id2', 'hello', CREATED_AT)],
    ['no-id', 'with null for its id', messageText(key, 'inbox', null, 'hello', CREATED_AT)],
    ['other-body', 'over another body', messageText(key, 'inbox', 'id', 'hello!', CREATED_AT)],
    ['body-in-quotes', 'over the JSON of the body', messageText(key, 'inbox', 'id', '"hello"', CREATED_AT)],
    ['other-time', 'at another time', messageText(key, 'inbox', 'id', 'hello', CREATED_AT - 1)],
    [
      'time-in-seconds',
      'at a time in seconds',
      messageText(key, 'inbox', 'id', 'hello', Math.floor(CREATED_AT / 1000))
    ],
    ['time-as-text', 'at a time that is text', good.replace(String(CREATED_AT), `"${CREATED_AT}"`)],
    [
      'fields-moved',
      'with box and id in each other’s place',
      messageText(key, 'id', 'inbox', 'hello', CREATED_AT)
    ],
    ['other-version', 'in another version', good.replace(',1,', ',2,')],
    ['other-name', 'under another name', good.replace('message', 'Message')],
    ['with-blanks', 'over JSON with blanks', good.replaceAll(',', ', ')],
    ['escaped', 'over JSON with an escape', good.replace('hello', '\\u0068ello')],
    ['body-alone', 'over the body alone', 'hello'],
    ['with-more', 'over one element more', good.replace(']', ',null]')],
    ['with-sender', 'over the sender, too', good.replace('[', `["${sender.identityKey}",`)],
    ['empty', 'over nothing', ''],
    ['authorization-text', 'that is an authorization', senderText(host.identityKey, NOW - DAY, NOW + DAY)],
    ['attestation-text', 'that is an attestation', attestationText('00'.repeat(32), sender.identityKey, NOW)],
    [
      'permission-text',
      'that is a permission',
      JSON.stringify(['peerserv permission', 1, key, 'inbox', null, 0, CREATED_AT])
    ],
    [
      'acknowledgement-text',
      'that is an acknowledgement',
      JSON.stringify(['peerserv acknowledgement', 1, key, ['00'.repeat(32)]])
    ]
  ]
  for (const [name, what, text] of texts) {
    const label = `text-${name}-${format}`
    list.refuse('signature', label, `${format}, signed ${what}`, {
      label,
      format,
      signed: () => portable(sender, text, label)
    })
  }
  for (const [name, signer] of [
    ['another-sender', otherSender],
    ['recipient', recipient],
    ['host', host],
    ['other-host', otherHost]
  ] as const) {
    const label = `by-${name}-${format}`
    list.refuse('signature', label, `${format}, signed by ${name.replace('-', ' ')}`, {
      label,
      format,
      signed: (_, text) => portable(signer, text, label)
    })
  }
  // What was signed once, for anybody who changes the message and has the sender's request made to fit.
  const reused: [name: string, what: string, change: Recipe][] = [
    ['other-box', 'another box', { message: message => ({ ...message, messageBox: 'payment_inbox' }) }],
    [
      'other-recipient',
      'another recipient',
      { message: message => ({ ...message, recipient: otherRecipient.identityKey }) }
    ],
    ['integer-id', 'an integer for an id', { message: message => ({ ...message, messageId: 0 }) }],
    ['other-time', 'another time', { message: message => ({ ...message, createdAt: NOW }) }],
    [
      'by-another',
      'another sender',
      { sender: otherSender, signed: (_, text) => portable(sender, text, 'reused') }
    ]
  ]
  for (const [name, what, change] of reused) {
    const label = `reused-${name}-${format}`
    list.refuse('signature', label, `${format}, a genuine signature beside ${what}`, {
      label,
      format,
      signed: true,
      ...change
    })
  }
}

function brokenSignatures(list: CaseList): void {
  const { name, recipe } = baseOf('signature')
  const text = messageText(recipient.identityKey, 'inbox', 'id', 'hello', CREATED_AT)
  for (const [how, what, signature] of brokenPortables(sender, text, `${name} 0`)) {
    list.refuse('signature', `portable/${how}`, `a signature ${what}`, { ...recipe, signed: () => signature })
  }
}

/** For several recipients, the signatures of whom are in each other's place. */
function amongRecipients(list: CaseList): void {
  for (const format of ['brc104', 'authrite'] as const) {
    const text = (index: number): string =>
      messageText(TWO[index]!.identityKey, 'inbox', `id-${index}`, 'hello', CREATED_AT)
    const cases: [name: string, what: string, signed: (index: number) => unknown][] = [
      [
        'swapped',
        'with the signatures of the other',
        index => portable(sender, text(1 - index), `swap ${index}`)
      ],
      [
        'one-for-both',
        'with one signature, over neither',
        () => portable(sender, messageText(recipient.identityKey, 'inbox', 'id', 'hello', CREATED_AT), 'both')
      ],
      [
        'over-all',
        'with one signature over both',
        () =>
          portable(
            sender,
            JSON.stringify([
              'peerserv message',
              1,
              TWO.map(({ identityKey }) => identityKey),
              'inbox',
              ['id-0', 'id-1'],
              'hello',
              CREATED_AT
            ]),
            'all'
          )
      ],
      [
        'for-a-third',
        'with signatures for a third',
        () =>
          portable(
            sender,
            messageText(thirdRecipient.identityKey, 'inbox', 'id-0', 'hello', CREATED_AT),
            'third'
          )
      ]
    ]
    for (const [name, what, signed] of cases) {
      const label = `two-${name}-${format}`
      list.refuse('signature', label, `${format}, for two recipients ${what}`, {
        label,
        format,
        recipients: TWO,
        signed: (_, __, index) => signed(index)
      })
    }
    const label = `two-null-${format}`
    list.refuse('no-proof', label, `${format}, for two recipients with null for both signatures`, {
      label,
      format,
      recipients: TWO,
      signed: () => null
    })
  }
}
