import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import fc from 'fast-check'
import { parsePropagatedMessage } from '../../federation/origin/propagated-message.js'
import { readSignedMessage } from '../../federation/origin/signed-message.js'
import { readConfiguration } from '../../src/config.js'
import { loadCurve } from '../../src/curve/load.js'
import {
  answerOrRefusal,
  anyJson,
  describeFuzz,
  inputs,
  mutatedBytes,
  mutatedJson,
  timely
} from '../support/fuzz.js'
import { FORMATS } from '../support/origin-bases.js'
import type { OriginCase } from '../support/origin-cases.js'
import { NOW } from '../support/origin-parties.js'
import { verdictOf } from '../support/origin-verdict.js'

const { cases } = JSON.parse(
  readFileSync(new URL('../vectors/origin-proofs.json', import.meta.url), 'utf8')
) as { cases: readonly OriginCase[] }
const genuine = cases.filter(({ expect: { accept } }) => accept)
const { limits } = readConfiguration({}).config
const curves = [loadCurve('native'), loadCurve('webassembly')]
const [curve] = curves

/** What the senders of the corpus have said, to whom, in which box. */
const said = new Set(
  genuine.flatMap(({ body, expect: wanted }) =>
    wanted.accept
      ? wanted.recipients.map(({ recipient }) => words(body.originalSender, recipient, wanted))
      : []
  )
)

function words(
  sender: unknown,
  recipient: string,
  { messageBox, text }: { messageBox: string; text: string }
): string {
  // The coordinate x, in either form of the key.
  return JSON.stringify([String(sender).toLowerCase().slice(2, 66), recipient, messageBox, text])
}

describeFuzz('fuzz: bodies of /propagateMessage', () => {
  const bodies = fc.constantFrom(...genuine).map(({ body }) => body as unknown)
  /** Members of several messages in one. */
  const mixed = fc
    .tuple(fc.constantFrom(...cases), fc.constantFrom(...cases), fc.nat(255))
    .map(([a, b, which]) =>
      Object.fromEntries(
        Object.keys({ ...a.body, ...b.body }).map((name, i) => [name, ((which >> i) & 1 ? a : b).body[name]])
      )
    )
  const hostile = fc.oneof(
    { weight: 4, arbitrary: mutatedJson(bodies) },
    { weight: 2, arbitrary: mixed },
    { weight: 1, arbitrary: mutatedJson(mixed) },
    { weight: 1, arbitrary: anyJson() }
  )

  it('are taken or refused, and nobody is believed to have said what he did not say', () => {
    fc.assert(
      fc.property(hostile, body => {
        const { answer } = timely(() => verdictOf(curve!, limits, body, NOW))
        if (!answer.accept) return
        const { originalSender } = body as Record<string, unknown>
        for (const one of answer.recipients) {
          // A sealed body says nothing about who sent it.
          if ('code' in one || one.origin === 'sealed') continue
          expect(said).to.include(words(originalSender, one.recipient, answer))
        }
      }),
      inputs()
    )
  })

  it('are judged alike by two nodes', () => {
    fc.assert(
      fc.property(hostile, body => {
        const answers = curves.map(one => verdictOf(one, limits, structuredClone(body), NOW).answer)
        expect(answers[0]).to.deep.equal(answers[1])
      }),
      inputs(0.2)
    )
  })

  it('keep the bytes that were signed', () => {
    fc.assert(
      fc.property(hostile, body => {
        const read = answerOrRefusal(() => parsePropagatedMessage(curve!, limits.recipientsPerSend, body))
        if ('refusal' in read) return
        const { signedMessage, senderSignature, keyLinkage } = read.answer
        const {
          signedMessage: base64,
          senderSignature: hex,
          keyLinkage: offset
        } = body as Record<string, unknown>
        expect(signedMessage.toString('base64')).to.equal(base64)
        expect([senderSignature, keyLinkage].map(bytes => bytes.toString('hex'))).to.deep.equal(
          [hex, offset].map(text => String(text).toLowerCase())
        )
      }),
      inputs()
    )
  })
})

describeFuzz('fuzz: bytes that senders have signed', () => {
  const signed = fc
    .constantFrom(...cases.filter(({ id }) => !id.startsWith('malformed/')))
    .map(({ body }) => Buffer.from(String(body.signedMessage), 'base64'))
  const bytes = fc.oneof(
    { weight: 4, arbitrary: mutatedBytes(signed) },
    { weight: 1, arbitrary: signed },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map(input => Buffer.from(input)) }
  )
  const formats = fc.constantFrom(...FORMATS, undefined)

  it('are a message or none, and are left as they are', () => {
    fc.assert(
      fc.property(bytes, formats, (input, format) => {
        const before = Buffer.from(input)
        const read = answerOrRefusal(() => readSignedMessage(curve!, limits, input, format))
        expect(input.equals(before)).to.equal(true)
        if ('refusal' in read || read.answer === undefined) return
        if (format !== undefined) expect(read.answer.format).to.equal(format)
        expect(readSignedMessage(curve!, limits, before, read.answer.format)).to.deep.equal(read.answer)
      }),
      inputs()
    )
  })

  it('are a message in one format at most, and the same one whether that is said or not', () => {
    fc.assert(
      fc.property(bytes, input => {
        const readings = FORMATS.flatMap(format => {
          const read = answerOrRefusal(() => readSignedMessage(curve!, limits, input, format))
          return 'refusal' in read || read.answer === undefined ? [] : [read.answer]
        })
        expect(readings.length).to.be.at.most(1)
        const unnamed = answerOrRefusal(() => readSignedMessage(curve!, limits, input, undefined))
        if ('refusal' in unnamed) return
        const { answer } = unnamed
        expect(answer).to.deep.equal(readings[0]?.format === 'brc103' ? undefined : readings[0])
      }),
      inputs()
    )
  })
})
