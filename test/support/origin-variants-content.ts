import type { SignedMessageFormat } from '../../src/names.js'
import { BASES, FORMATS, set, without } from './origin-bases.js'
import type { CaseList } from './origin-cases.js'
import type { Recipe } from './origin-messages.js'
import { NOW, otherRecipient, recipient } from './origin-parties.js'
import { json, liveSend, type Members, preimage, requestParts } from './origin-requests.js'
import { refuse } from './origin-variants-request.js'

/** Requests whose content is no message, signed and attested as in origin-variants-request.ts. */
export function contentVariants(list: CaseList): void {
  for (const format of FORMATS) otherJson(list, format)
  for (const format of ['brc104', 'authrite'] as const) otherMessages(list, format)
  otherLiveSends(list)
  otherFormats(list)
  reservedBox(list)
}

/** Bytes in the place of the request's JSON. */
function withJson(format: SignedMessageFormat, name: string, bytes: Buffer): Buffer {
  return format === 'brc104' ? preimage(requestParts(name, bytes)) : bytes
}

/** JSON that is none, or that two readers could read differently. */
function otherJson(list: CaseList, format: SignedMessageFormat): void {
  const deep = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
  const changes: [name: string, change: (text: string) => string | Buffer][] = [
    ['empty-object', () => '{}'],
    ['array', text => `[${text}]`],
    ['null', () => 'null'],
    ['string', text => JSON.stringify(text)],
    ['cut-off', text => text.slice(0, -1)],
    ['followed-by-more', text => `${text}{}`],
    ['byte-order-mark', text => `\ufeff${text}`],
    ['comma-at-the-end', text => `${text.slice(0, -1)},}`],
    ['comment', text => `${text.slice(0, -1)}/**/}`],
    ['single-quotes', text => text.replaceAll('"', "'")],
    ['utf-16', text => Buffer.from(text, 'utf16le')],
    ['not-utf-8', text => Buffer.from(text.replace('hello', 'hell\xff'), 'latin1')],
    ['surrogate-in-utf-8', text => Buffer.from(text.replace('hello', 'hell\xed\xa0\x80'), 'latin1')],
    ['lone-surrogate', text => text.replace('hello', 'hell\\ud800')],
    ['nul-escaped', text => text.replace('hello', 'hell\\u0000')],
    ['nul-raw', text => text.replace('hello', 'hell\0')],
    ['nul-behind', text => `${text}\0`],
    ['body-twice', text => text.replace('"body"', '"body":"other","body"')],
    ['body-twice-escaped', text => text.replace('"body"', '"\\u0062ody":"other","body"')],
    ['proto', text => text.replace('"body"', '"__proto__":{"a":1},"body"')],
    ['proto-escaped', text => text.replace('"body"', '"__proto\\u005f_":{},"body"')],
    ['too-deep', text => text.replace('"body"', `"more":${deep(33)},"body"`)],
    ['not-a-number', text => text.replace('"body"', '"more":NaN,"body"')],
    ['leading-zero', text => text.replace('"body"', '"more":01,"body"')]
  ]
  for (const [how, change] of changes) {
    const name = `json/${how}-${format}`
    refuse(list, name, `${format}, JSON of the kind "${how}"`, {
      format,
      bytes: (_, message) => {
        const text = JSON.stringify(format === 'brc103' ? liveSend(message) : { message })
        return withJson(format, name, Buffer.from(change(text)))
      }
    })
  }
}

/** Requests that /sendMessage would not take. */
function otherMessages(list: CaseList, format: 'brc104' | 'authrite'): void {
  const key = recipient.identityKey
  const changes: [name: string, change: Members | ((message: Members) => Members)][] = [
    ...(['recipient', 'messageBox', 'body'] as const).flatMap(
      (member): [string, Members | ((m: Members) => Members)][] => [
        [`${member}-missing`, without(member)],
        [`${member}-null`, { [member]: null }],
        [`${member}-number`, { [member]: 5 }],
        [`${member}-empty`, { [member]: '' }],
        [`${member}-blank`, { [member]: ' ' }],
        [`${member}-true`, { [member]: true }]
      ]
    ),
    ['recipient-object', { recipient: {} }],
    ['recipient-empty-array', { recipient: [] }],
    ['recipient-short', { recipient: key.slice(2) }],
    ['recipient-off-curve', { recipient: `02${'5'.padStart(64, '0')}` }],
    ['recipients-text', { recipients: key }],
    ['recipients-empty', { recipients: [] }],
    ['recipients-of-null', { recipients: [null] }],
    ['recipients-twice', { recipients: [key, key], recipient: undefined }],
    ['recipients-twice-in-other-case', { recipients: [key, key.toUpperCase()], recipient: undefined }],
    ['recipients-other', { recipients: [otherRecipient.identityKey] }],
    ['recipients-more', { recipients: [key, otherRecipient.identityKey] }],
    ['box-blank-before', { messageBox: ' inbox' }],
    ['box-blank-behind', { messageBox: 'inbox\u00a0' }],
    ['box-control', { messageBox: 'in\u0085box' }],
    ['box-too-long', { messageBox: 'é'.repeat(65) }],
    ['box-array', { messageBox: ['inbox'] }],
    ['id-blank', { messageId: ' ' }],
    ['id-fraction', { messageId: 1.5 }],
    ['id-negative', { messageId: -1 }],
    ['id-too-large', { messageId: 2 ** 53 }],
    ['id-object', { messageId: {} }],
    ['id-too-long', { messageId: 'a'.repeat(257) }],
    ['ids-two', { messageId: ['a', 'b'] }],
    ['created-text', { createdAt: String(NOW) }],
    ['created-fraction', { createdAt: 0.5 }],
    ['created-negative', { createdAt: -1 }],
    ['signature-number', { createdAt: NOW, signature: 5 }],
    ['signature-without-time', { signature: 'none' }],
    ['signature-over-object', { createdAt: NOW, signature: 'none', body: {} }],
    ['signatures-text', { createdAt: NOW, signatures: 'none' }],
    ['signatures-two', { createdAt: NOW, signatures: ['none', 'none'] }],
    ['signatures-other', { createdAt: NOW, signature: 'none', signatures: ['other'] }]
  ]
  for (const [how, change] of changes) {
    const name = `message/${how}-${format}`
    const apply =
      typeof change === 'function' ? change : (message: Members): Members => ({ ...message, ...change })
    refuse(list, name, `${format}, a message that no host takes: ${how.replaceAll('-', ' ')}`, {
      format,
      message: apply
    })
  }
  for (const [how, value] of [
    ['missing', undefined],
    ['null', null],
    ['text', 'hello'],
    ['array', []]
  ] as const) {
    const name = `message/${how}-${format}`
    refuse(list, name, `${format}, a request whose member "message" is ${how}`, {
      format,
      bytes: () => withJson(format, name, json({ message: value }))
    })
  }
}

/** Live sends whose room or message is not that of one. */
function otherLiveSends(list: CaseList): void {
  const key = recipient.identityKey
  const data = (event: Members): Members => event.data as Members
  const room =
    (roomId: unknown) =>
    (event: Members): Members => ({ ...event, data: { ...data(event), roomId } })
  const content =
    (message: unknown) =>
    (event: Members): Members => ({ ...event, data: { ...data(event), message } })
  const changes: [name: string, change: (event: Members) => unknown][] = [
    ['event-missing', without('eventName')],
    ['event-other', event => ({ ...event, eventName: 'joinRoom' })],
    ['event-in-other-case', event => ({ ...event, eventName: 'sendmessage' })],
    ['event-array', event => ({ ...event, eventName: ['sendMessage'] })],
    ['data-missing', without('data')],
    ['data-null', event => ({ ...event, data: null })],
    ['data-array', event => ({ ...event, data: [data(event)] })],
    ['data-text', event => ({ ...event, data: JSON.stringify(data(event)) })],
    ['room-missing', event => ({ ...event, data: without('roomId')(data(event)) })],
    ['room-number', room(5)],
    ['room-empty', room('')],
    ['room-of-a-key-alone', room(key)],
    ['room-without-box', room(`${key}-`)],
    ['room-without-dash', room(`${key}inbox`)],
    ['room-with-other-dash', room(`${key}_inbox`)],
    ['room-of-a-short-key', room(`${key.slice(1)}-inbox`)],
    ['room-of-no-key', room(`${'0'.repeat(66)}-inbox`)],
    ['room-with-blank', room(`${key}- inbox`)],
    ['message-missing', event => ({ ...event, data: without('message')(data(event)) })],
    ['message-null', content(null)],
    ['message-text', content('hello')],
    ['message-array', content([{ body: 'hello' }])],
    ['message-without-body', content({ messageId: 'id' })],
    [
      'message-for-others',
      event =>
        content({ ...(data(event).message as Members), recipients: [otherRecipient.identityKey] })(event)
    ]
  ]
  for (const [how, change] of changes) {
    const name = `live/${how}`
    refuse(list, name, `a live send: ${how.replaceAll('-', ' ')}`, {
      format: 'brc103',
      bytes: (_, message) => json(change(liveSend(message)))
    })
    if (!/^(?:room|message)-/.test(how)) continue
    refuse(list, `${name}-authrite`, `a live send under Authrite: ${how.replaceAll('-', ' ')}`, {
      format: 'authrite',
      bytes: (_, message) => json(data(change(liveSend(message)) as Members))
    })
  }
}

/** Bytes of one format under the name of another. */
function otherFormats(list: CaseList): void {
  for (const { name, format, recipe } of BASES) {
    for (const other of FORMATS) {
      if (other === format) continue
      refuse(list, `format/${name}-as-${other}`, `${format} called ${other}`, {
        ...recipe,
        wire: set({ signedMessageFormat: other })
      })
    }
    if (format !== 'brc103') continue
    refuse(list, `format/${name}-unnamed`, 'a live send without its format: a plain BRC-34 host knows none', {
      ...recipe,
      wire: without('signedMessageFormat')
    })
  }
}

/** Reports come from the node alone. */
function reservedBox(list: CaseList): void {
  for (const format of FORMATS) {
    for (const signed of [true, undefined] as const) {
      const label = `reserved-${format}-${signed === true ? 'signed' : 'attested'}`
      const proof: Recipe = signed === true ? { signed } : { attested: true }
      const recipe = { label, format, messageBox: 'delivery_reports', ...proof }
      list.notTaken(
        label,
        'for the box in which only the node writes',
        recipe,
        403,
        'ERR_RESERVED_MESSAGEBOX'
      )
    }
  }
}
