import { expect } from 'chai'
import fc from 'fast-check'
import { readConfiguration } from '../../src/config.js'
import { parseJson, REQUEST_JSON_LIMITS } from '../../src/json.js'
import {
  isObject,
  parseMessage,
  parseMessageBox,
  parseMessageIds,
  signedMessageText
} from '../../src/message.js'
import { curve, TestUser } from '../support/client.js'
import {
  answerOrRefusal,
  anyJson,
  describeFuzz,
  inputs,
  mutatedBytes,
  mutatedJson,
  mutatedText,
  timely
} from '../support/fuzz.js'
import { seededBase64 } from '../support/origin-parties.js'

const { limits } = readConfiguration({}).config
const [one, two] = [new TestUser('one').identityKey, new TestUser('two').identityKey]
const sealedBody = JSON.stringify({ encryptedMessage: seededBase64('fuzz', 60) })

describeFuzz('fuzz: JSON', () => {
  const documents = [
    '{"message":{"recipient":"a","body":{"a":[1,-2.5e3,null,true]},"é":"\\ud83d\\ude42\\n"}}',
    '[[],{},[{"":""}],"\\\\\\"",0.1]',
    ' { "a" : 1 , "b" : "\u{1f642}" } '
  ].map(text => Buffer.from(text))

  it('is read as JSON.parse reads it, or refused', () => {
    const random = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.json().map(text => Buffer.from(text))
    )
    const bytes = fc.oneof(
      { weight: 4, arbitrary: mutatedBytes(fc.constantFrom(...documents)) },
      { weight: 1, arbitrary: random }
    )
    fc.assert(
      fc.property(bytes, input => {
        const read = answerOrRefusal(() => parseJson(input))
        if ('refusal' in read) expect(read.refusal).to.include({ httpStatus: 400, code: 'ERR_INVALID_JSON' })
        else expect(read.answer).to.deep.equal(JSON.parse(Buffer.from(input).toString()))
      }),
      inputs()
    )
  })

  it('is refused where it is nested, repeated or long beyond measure, in no more time than it takes to look', () => {
    const pieces = fc.constantFrom(
      '[',
      '{"a":',
      '{"a":1,',
      '"',
      '\\',
      '"\\u0061',
      '[1,',
      ']',
      '}',
      '"a":',
      ',',
      '{',
      '0',
      '-',
      '"\\ud800'
    )
    const count = fc.integer({ min: 1, max: 20_000 })
    fc.assert(
      fc.property(fc.array(fc.tuple(pieces, count), { minLength: 1, maxLength: 4 }), parts => {
        const input = Buffer.from(parts.map(([piece, times]) => piece.repeat(times)).join(''))
        const read = answerOrRefusal(() => parseJson(input, REQUEST_JSON_LIMITS))
        if ('answer' in read) expect(read.answer).to.deep.equal(JSON.parse(input.toString()))
      }),
      inputs(0.1)
    )
  })
})

describeFuzz('fuzz: messages', () => {
  const message = { recipient: one, messageBox: 'inbox', messageId: 'id', body: 'hello' }
  const requests = [
    { message },
    { message: { ...message, messageId: 7, createdAt: 1, signature: 'none' }, payment: { tx: [1, 2] } },
    {
      message: {
        ...message,
        recipient: undefined,
        recipients: [one, two],
        messageId: ['a', 2],
        body: sealedBody
      }
    },
    { message: { ...message, createdAt: 1, signatures: ['none'], body: { message: 'inner' } } }
  ]

  it('are read into what keeps every promise, or refused', () => {
    const inputsOf = fc.oneof(
      { weight: 5, arbitrary: mutatedJson(fc.constantFrom(...requests)) },
      { weight: 1, arbitrary: anyJson() }
    )
    fc.assert(
      fc.property(inputsOf, request => {
        const read = answerOrRefusal(() => parseMessage(curve, limits, request))
        if ('refusal' in read) return
        const { messageBox, body, createdAt, recipients, ciphertext, wrapped } = read.answer
        expect(Buffer.byteLength(messageBox)).to.be.within(1, 128)
        expect(messageBox).to.equal(messageBox.trim())
        expect(Buffer.byteLength(body)).to.be.within(1, limits.messageBodyBytes)
        expect(recipients.length).to.be.within(1, limits.recipientsPerSend)
        const keys = recipients.map(({ recipient }) => recipient)
        expect(new Set(keys).size).to.equal(keys.length)
        for (const { recipient, messageId, signature } of recipients) {
          expect(curve.isPublicKey(Buffer.from(recipient, 'hex'))).to.equal(true)
          if (messageId !== undefined) expect(Buffer.byteLength(messageId)).to.be.within(1, 256)
          if (signature !== undefined) expect(createdAt).to.satisfy(Number.isSafeInteger)
          // Plus 0: in JSON there is one zero.
          const time = (createdAt ?? 0) + 0
          const text = signedMessageText(recipient, messageBox, messageId, body, time)
          const told = [recipient, messageBox, messageId ?? null, body, time]
          expect(JSON.parse(text)).to.deep.equal(['peerserv message', 1, ...told])
        }
        expectJudged(body, ciphertext, wrapped)
      }),
      inputs()
    )
  })

  it('have bodies that are sealed, or unpacked by stock clients, just where a reader finds it so', () => {
    const nested = fc.tuple(
      fc.constantFrom('[', '{"a":', '{"message":', '{"encryptedMessage":'),
      fc.integer({ min: 1, max: 20_000 })
    )
    const bodies = fc.oneof(
      mutatedText(
        fc.constantFrom(
          sealedBody,
          '{"message":"inner","more":[1,{"message":2}]}',
          '{"more":{"message":"a"},"b":"message","c":["message"]}',
          '{"m\\u0065ssage":"","encryptedMessage":"a"}'
        )
      ),
      mutatedJson(fc.constantFrom(JSON.parse(sealedBody), { message: [{}], encryptedMessage: 'a' })).map(
        value => JSON.stringify(value) ?? ' '
      ),
      fc
        .tuple(fc.constantFrom('{"encryptedMessage":"x","a":', '{"a":'), nested)
        .map(([head, [piece, times]]) => head + piece.repeat(times)),
      fc
        .tuple(
          fc.constantFrom('{"encryptedMessage":"x","message":', '{"b":'),
          fc.integer({ min: 1, max: 20_000 })
        )
        .map(([head, times]) => `${head}${'['.repeat(times)}${']'.repeat(times)}}`)
    )
    fc.assert(
      fc.property(bodies, body => {
        const read = answerOrRefusal(() => parseMessage(curve, limits, { message: { ...message, body } }))
        if ('refusal' in read) return
        expectJudged(body, read.answer.ciphertext, read.answer.wrapped)
      }),
      // Many of them are as long as a deeply nested body is.
      inputs(0.5)
    )
  })

  it('have bodies that are no more than text, however deep they are nested', () => {
    const depth = 500_000
    const nested = '['.repeat(depth) + ']'.repeat(depth)
    for (const [name, wrapped] of [
      ['encryptedMessage', false],
      ['message', true]
    ] as const) {
      const body = `{"${name}":${nested}}`
      const read = timely(() => parseMessage(curve, limits, { message: { ...message, body } }))
      expect(read).to.include({ ciphertext: undefined, wrapped, body })
    }
  })

  it('have boxes and ids that are taken or refused', () => {
    fc.assert(
      fc.property(fc.oneof(anyJson(), mutatedJson(fc.constant({ messageIds: ['a', 5, '7'] }))), value => {
        const box = answerOrRefusal(() => parseMessageBox(value))
        if ('answer' in box) expect(box.answer).to.equal(value)
        const ids = answerOrRefusal(() => parseMessageIds(value))
        if ('answer' in ids) for (const id of ids.answer) expect(id).to.be.a('string')
      }),
      inputs()
    )
  })

  function expectJudged(body: string, ciphertext: string | undefined, wrapped: boolean): void {
    const wanted = judged(body)
    expect(ciphertext).to.equal(wanted.ciphertext)
    // Of what is no JSON at all the answer does not matter.
    if (parsed(body) !== undefined) expect(wrapped).to.equal(wanted.wrapped)
  }

  /** By the letter of the protocol, and without regard to what it costs. */
  function judged(body: string): { ciphertext: string | undefined; wrapped: boolean } {
    const value = parsed(body)
    if (!isObject(value)) return { ciphertext: undefined, wrapped: false }
    const { encryptedMessage: text } = value
    const oneSpelling =
      typeof text === 'string' &&
      body.replace(/[ \t\n\r]/g, '') === JSON.stringify({ encryptedMessage: text })
    const bytes = Buffer.from(oneSpelling ? text : '', 'base64')
    const isSealed = oneSpelling && bytes.length >= 49 && bytes.toString('base64') === text
    return { ciphertext: isSealed ? text : undefined, wrapped: Object.hasOwn(value, 'message') }
  }

  function parsed(text: string): unknown {
    try {
      return JSON.parse(text)
    } catch {
      return undefined
    }
  }
})
