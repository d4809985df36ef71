import { baseOf, FORMATS, set } from './origin-bases.js'
import type { CaseList } from './origin-cases.js'
import { type Recipe, seal, sealed } from './origin-messages.js'
import { DAY, MINUTE, NOW, otherRecipient, seeded, sender, TIME_TO_LIVE } from './origin-parties.js'
import { portable } from './origin-portable.js'

/** Bodies that only look sealed. */
export function sealedVariants(list: CaseList): void {
  const ciphertext = seal('"hello"', 'looks sealed')
  const good = JSON.stringify({ encryptedMessage: ciphertext })
  const other = seal('"hello"', 'another ciphertext')
  const bytes = Buffer.from(ciphertext, 'base64')
  const base64 = (length: number): string => seeded('short', length).toString('base64')
  const padded = [0, 1, 2].map(more => Buffer.concat([bytes, seeded('more', more)]).toString('base64'))
  const withPad = padded.find(text => text.endsWith('=') && !text.endsWith('=='))!
  const body = (value: unknown): string => JSON.stringify({ encryptedMessage: value })
  const bodies: [name: string, body: unknown][] = [
    ['ciphertext-alone', ciphertext],
    ['ciphertext-in-quotes', JSON.stringify(ciphertext)],
    ['plain-object', { text: 'hello' }],
    ['member-more', { encryptedMessage: ciphertext, more: 1 }],
    ['member-more-before', { text: 'hello', encryptedMessage: ciphertext }],
    ['member-twice', good.replace('{', `{"encryptedMessage":"${other}",`)],
    ['member-twice-escaped', good.replace('{', `{"encrypted\\u004dessage":"${other}",`)],
    ['member-escaped', good.replace('encryptedMessage', 'encrypted\\u004dessage')],
    ['value-escaped', good.replace(ciphertext.slice(0, 1), `\\u00${ciphertext.charCodeAt(0).toString(16)}`)],
    [
      'slash-escaped',
      body('PLACE').replace(
        'PLACE',
        Buffer.concat([Buffer.from('ffffff', 'hex'), bytes])
          .toString('base64')
          .replaceAll('/', '\\/')
      )
    ],
    ['other-case', good.replace('encryptedMessage', 'EncryptedMessage')],
    ['other-name', good.replace('encryptedMessage', 'ciphertext')],
    ['blank-in-name', good.replace('encryptedMessage', 'encryptedMessage ')],
    ['proto', good.replace('{', '{"__proto__":{},')],
    ['nested', JSON.stringify({ message: { encryptedMessage: ciphertext } })],
    ['nested-in-itself', JSON.stringify({ encryptedMessage: { encryptedMessage: ciphertext } })],
    ['in-an-array', JSON.stringify([{ encryptedMessage: ciphertext }])],
    ['as-text', JSON.stringify(good)],
    ['followed-by-more', `${good}{}`],
    ['followed-by-text', `${good} hello`],
    ['after-text', `hello ${good}`],
    ['comma-at-the-end', good.replace('}', ',}')],
    ['single-quotes', good.replaceAll('"', "'")],
    ['without-quotes', good.replace('"encryptedMessage"', 'encryptedMessage')],
    ['not-closed', good.slice(0, -1)],
    ['comment', good.replace('{', '{/**/')],
    ['byte-order-mark', `\ufeff${good}`],
    ['other-blank', good.replace(':', ':\u00a0')],
    ['form-feed', good.replace(':', ':\f')],
    ['blank-in-value', body(`${ciphertext.slice(0, 20)} ${ciphertext.slice(20)}`)],
    ['line-break-in-value', body(`${ciphertext.slice(0, 20)}\n${ciphertext.slice(20)}`)],
    ['value-null', body(null)],
    ['value-number', body(5)],
    ['value-array-of-bytes', body([...bytes.subarray(0, 60)])],
    ['value-empty', body('')],
    ['value-of-48-bytes', body(base64(48))],
    ['value-of-32-bytes', body(base64(32))],
    ['value-hex', body(`${bytes.toString('hex')}0`)],
    ['value-without-padding', body(withPad.slice(0, -1))],
    ['value-padded-more', body(`${withPad}=`)],
    ['value-base64url', body(Buffer.alloc(60, 0xff).toString('base64url'))],
    ['value-unused-bits', body(`${'A'.repeat(66)}B=`)],
    ['value-with-other-letters', body(`${ciphertext.slice(0, 20)}*${ciphertext.slice(21)}`)],
    ['value-is-text', body('Meet me at noon. Nobody else needs to know about this at all, I promise.')]
  ]
  for (const [name, content] of bodies) {
    for (const format of ['brc104', 'authrite'] as const) {
      const label = `looks-sealed-${name}-${format}`
      list.refuse(
        'no-proof',
        label,
        `${format}, a body that only looks sealed: ${name.replaceAll('-', ' ')}`,
        { label, format, body: content }
      )
    }
  }
  boxedAgain(list)
  times(list)
}

/**
 * A ciphertext binds neither box nor id nor time: put into another box it is a sealed message like any other, and what the
 * sender said of the first one does not speak for it.
 */
function boxedAgain(list: CaseList): void {
  for (const format of FORMATS) {
    const label = `boxed-again-${format}`
    const parts = sealed('boxed')
    list.accept(
      label,
      `${format}, a ciphertext put into another box by whoever saw it: another sealed message`,
      { label, format, ...parts, messageBox: 'another', forged: true },
      { origin: 'sealed' }
    )
    const signedBefore: Recipe = {
      label: `${label}-signed`,
      format,
      ...parts,
      messageBox: 'another',
      signed: (_, text) => portable(sender, text.replace('another', 'inbox'), 'boxed'),
      forged: true
    }
    list.accept(
      `${label}-signed`,
      `${format}, the same with the signature for the first box: sealed, no more`,
      signedBefore,
      { origin: 'sealed' }
    )
    const stolen = {
      label: `${label}-stolen`,
      format,
      ...sealed('for another', otherRecipient),
      forged: true as const
    }
    list.accept(
      `${label}-stolen`,
      `${format}, a ciphertext for somebody else: sealed, as far as a host can tell`,
      stolen,
      { origin: 'sealed' }
    )
  }
}

/** Too early or too late here. */
function times(list: CaseList): void {
  for (const format of FORMATS) {
    const add = (status: 400 | 425, name: string, what: string, recipe: Recipe): void =>
      list.untimely(status, `${name}-${format}`, `${format}, ${what}`, {
        label: `${name}-${format}`,
        format,
        ...recipe
      })
    const ahead = NOW + 10 * MINUTE + 1
    add(425, 'created-ahead', 'signed by a clock that is more than ten minutes ahead', {
      signed: true,
      createdAt: ahead
    })
    add(425, 'created-far-ahead', 'signed for the end of time', {
      signed: true,
      createdAt: Number.MAX_SAFE_INTEGER
    })
    add(425, 'received-ahead', 'attested from the future', {
      attested: true,
      attestation: { receivedAt: ahead }
    })
    add(425, 'received-far-ahead', 'attested from a distant future', {
      attested: true,
      attestation: { receivedAt: NOW + 50 * DAY }
    })
    add(400, 'created-long-ago', 'signed as long ago as a message lives', {
      signed: true,
      createdAt: NOW - TIME_TO_LIVE
    })
    add(400, 'created-at-0', 'signed in 1970', { signed: true, createdAt: 0 })
    add(400, 'received-long-ago', 'attested as long ago as a message lives', {
      attested: true,
      authorization: { given: NOW - 80 * DAY, expires: NOW },
      attestation: { receivedAt: NOW - TIME_TO_LIVE }
    })
    for (const [name, firstSeen] of [
      ['first-seen-long-ago', NOW - TIME_TO_LIVE],
      ['first-seen-at-0', 0]
    ] as const) {
      const { recipe } = baseOf('sealed', format)
      add(400, name, 'sealed, first seen as long ago as a message lives', {
        ...recipe,
        wire: set({ firstSeen })
      })
    }
  }
}
