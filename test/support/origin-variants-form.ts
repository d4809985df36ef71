import { baseOf, set, setIn, without } from './origin-bases.js'
import type { CaseList } from './origin-cases.js'
import { build } from './origin-messages.js'
import { host, otherRecipient, recipient, seeded, sender } from './origin-parties.js'
import { negated } from './origin-portable.js'
import type { Members } from './origin-requests.js'
import { brokenKeys } from './phip-broken-bytes.js'

type Named = readonly [name: string, value: unknown]

/** Of the wrong type, whatever the member is. */
const NO_TEXT: readonly Named[] = [
  ['number', 5],
  ['boolean', true],
  ['array', []],
  ['object', {}]
]
const NO_TIME: readonly Named[] = [
  ['text', '1767225600000'],
  ['fraction', 1767225600000.5],
  ['negative', -1],
  ['too-large', 2 ** 53],
  ['boolean', true],
  ['array', [1767225600000]],
  ['object', {}]
]

/** Bodies that are not of the form of one. */
export function formVariants(list: CaseList): void {
  const { body, signedBytes } = build(baseOf('home-host').recipe)
  const change = (member: string, values: readonly Named[]): void => {
    for (const [name, value] of values) {
      list.malformed(`${member}-${name}`, `${member} is ${shown(value)}`, set({ [member]: value })(body))
    }
  }
  for (const member of ['originalSender', 'keyLinkage', 'signedMessage', 'senderSignature']) {
    list.malformed(`${member}-missing`, `no ${member}`, without(member)(body))
    change(member, [['null', null], ['empty', ''], ['one-character', 'a'], ...NO_TEXT])
  }
  change('originalSender', brokenIdentityKeys(sender.publicKey))
  change('keyLinkage', brokenLinkages(String(body.keyLinkage)))
  change('senderSignature', brokenSignatureTexts(String(body.senderSignature)))
  change('signedMessage', brokenBase64(signedBytes))
  change('signedMessageFormat', [
    ['null', null],
    ['empty', ''],
    ['upper-case', 'BRC104'],
    ['unknown', 'brc31'],
    ['blank-behind', 'brc104 '],
    ['proto', '__proto__'],
    ...NO_TEXT
  ])
  change('keyID', [['too-long', 'a'.repeat(2_001)], ...NO_TEXT])
  const key = recipient.identityKey
  change('recipients', [
    ['text', key],
    ['empty', []],
    ['object', { 0: key }],
    ['number', 1],
    ['of-null', [null]],
    ['of-arrays', [[key]]],
    ['of-no-key', [key.slice(1)]],
    ['twice', [key, key]],
    ['twice-in-other-case', [key, key.toUpperCase()]],
    ['one-of-them-no-key', [key, `${otherRecipient.identityKey}0`]]
  ])
  change('firstSeen', [['null', null], ...NO_TIME])
  proofForms(list, body)
}

function proofForms(list: CaseList, body: Members): void {
  const broken: [member: string, name: string, values: readonly Named[]][] = [
    [
      'senderAuthorization',
      'hostKey',
      [
        ['null', null],
        ['empty', ''],
        ['x-only', host.identityKey.slice(2)],
        ['off-curve', `02${'5'.padStart(64, '0')}`],
        ...NO_TEXT
      ]
    ],
    ['senderAuthorization', 'given', [['null', null], ...NO_TIME]],
    ['senderAuthorization', 'expires', [['null', null], ...NO_TIME]],
    ['senderAuthorization', 'signature', [['null', null], ...NO_TEXT]],
    ['hostAttestation', 'receivedAt', [['null', null], ...NO_TIME]],
    ['hostAttestation', 'signature', [['null', null], ...NO_TEXT]]
  ]
  for (const member of ['senderAuthorization', 'hostAttestation']) {
    for (const [name, value] of [
      ['text', 'x'],
      ['number', 5],
      ['boolean', false],
      ['array', []],
      ['empty-object', {}]
    ] as const) {
      list.malformed(`${member}-${name}`, `${member} is ${shown(value)}`, set({ [member]: value })(body))
    }
  }
  for (const [member, inner, values] of broken) {
    const rest = without(inner)(body[member] as Members)
    list.malformed(`${member}-${inner}-missing`, `${member} without ${inner}`, set({ [member]: rest })(body))
    for (const [name, value] of values) {
      const what = `${member}.${inner} is ${shown(value)}`
      list.malformed(`${member}-${inner}-${name}`, what, setIn(member, { [inner]: value })(body))
    }
  }
}

function brokenIdentityKeys(key: Uint8Array): Named[] {
  const hex = Buffer.from(key).toString('hex')
  const fromBytes = brokenKeys(key).map(
    ([name, bytes]): Named => [`key-${name}`, Buffer.from(bytes).toString('hex')]
  )
  return [
    ...fromBytes.filter(([, text]) => text !== ''),
    ['0x', `0x${hex}`],
    ['blank-before', ` ${hex}`],
    ['blank-behind', `${hex} `],
    ['base64', Buffer.from(key).toString('base64')],
    ['full-width', hex.replace(/[0-9]/g, digit => String.fromCharCode(0xff10 + Number(digit)))],
    ['low-bytes-right', hex.replace('a', '\u3061')],
    ['uncompressed-off-curve', `04${hex.slice(2)}${'11'.repeat(32)}`],
    ['array-of-bytes', [...key]]
  ]
}

/** Among them the linkage as a point: the shared secret itself, as other proposals reveal it. */
function brokenLinkages(linkage: string): Named[] {
  const point = Buffer.from(negated(host.publicKey)).toString('hex')
  return [
    ['31-bytes', linkage.slice(2)],
    ['33-bytes', `${linkage}00`],
    ['odd', linkage.slice(1)],
    ['point', point],
    ['point-uncompressed', `04${point.slice(2)}${linkage}`],
    ['0x', `0x${linkage}`],
    ['blank-inside', `${linkage.slice(0, 62)} ${linkage.slice(63)}`],
    ['not-hex', `${linkage.slice(0, 63)}g`],
    ['base64', Buffer.from(linkage, 'hex').toString('base64')],
    ['array-of-bytes', [...Buffer.from(linkage, 'hex')]],
    ['decimal', BigInt(`0x${linkage}`).toString()]
  ]
}

function brokenSignatureTexts(signature: string): Named[] {
  const bytes = Buffer.from(signature, 'hex')
  return [
    ['7-bytes', '30050201010201'],
    ['73-bytes', `${signature.slice(0, 20)}${'00'.repeat(63)}`],
    ['odd', signature.slice(1)],
    ['base64', bytes.toString('base64')],
    ['array-of-bytes', [...bytes]],
    ['0x', `0x${signature.slice(2)}`],
    ['not-hex', `${signature.slice(0, -1)}g`]
  ]
}

function brokenBase64(bytes: Buffer): Named[] {
  // Of three lengths, one of which has padding of each kind.
  const padded = [0, 1, 2].map(more => Buffer.concat([bytes, seeded('padding', more)]).toString('base64'))
  const base64 = padded.find(text => text.endsWith('=') && !text.endsWith('=='))!
  return [
    ['without-padding', base64.replace(/=+$/, '')],
    ['padded-more', `${base64}=`],
    ['unused-bits-set', `${base64.slice(0, -2)}${base64.at(-2) === 'Q' ? 'R' : nextLetter(base64.at(-2)!)}=`],
    ['line-breaks', base64.replace(/.{64}/g, '$&\n')],
    ['blank-behind', `${base64} `],
    ['hex-of-odd-length', bytes.toString('hex').slice(1)],
    ['data-url', `data:;base64,${base64}`],
    ['array-of-bytes', [...bytes.subarray(0, 40)]],
    ['text', bytes.subarray(41).toString('latin1')],
    ['percent-encoded', base64.replaceAll('=', '%3D')]
  ]
}

/** The same bits that count, with another one behind them. */
function nextLetter(letter: string): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  return letters[letters.indexOf(letter) ^ 1]!
}

function shown(value: unknown): string {
  const text = JSON.stringify(value)
  return text.length > 40 ? `${text.slice(0, 40)}…` : text
}
