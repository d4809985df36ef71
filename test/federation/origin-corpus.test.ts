import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { parseIdentityKey } from '../../src/keys/identity-key.js'
import { publicInteger } from '../../src/names.js'
import { curve } from '../support/client.js'
import type { Accepted, OriginCase } from '../support/origin-cases.js'
import { messageText } from '../support/origin-messages.js'
import { OriginNode } from '../support/origin-node.js'

const { cases } = JSON.parse(
  readFileSync(new URL('../vectors/origin-proofs.json', import.meta.url), 'utf8')
) as { cases: readonly OriginCase[] }
const AT_ONCE = 8
/** Of the cases that are refused, every so many are sent; the unit test judges all of them. */
const EVERY = 5

describe('test/vectors/origin-proofs.json, over HTTP', () => {
  let node: OriginNode
  const genuine = cases.filter(isGenuine)

  before(async function () {
    this.timeout(30_000)
    node = await OriginNode.start('origin corpus')
  })
  after(() => node?.remove())

  it('is refused where it fails, with the failing check, and leaves nothing behind', async function () {
    this.timeout(60_000)
    const refused = cases.filter(one => !one.expect.accept).filter((_, index) => index % EVERY === 0)
    expect(refused.length).to.be.above(300)
    const before = await node.rows()
    await inParallel(refused, async ({ id, what, body, expect: wanted }) => {
      const { status, signature, json } = await node.propagate(body)
      const { code, check } = json
      const answer = { accept: false, httpStatus: status, code, ...(check === undefined ? {} : { check }) }
      expect(answer, `${id}: ${what}`).to.deep.equal(wanted)
      expect(signature, id).to.equal('valid')
    })
    expect(await node.rows()).to.deep.equal(before)
  })

  it('is taken where it is genuine, each name once, and listed with its origin', async function () {
    this.timeout(60_000)
    for (const { id, body, expect: wanted } of genuine) {
      const told = new Map(
        (await node.resultsOf(body)).map(({ recipient, ...result }) => [recipient, result])
      )
      expect(told.size, id).to.equal(wanted.recipients.length)
      for (const one of wanted.recipients) {
        const { recipient, ...refusal } = one
        const result = 'origin' in one ? { status: 'success' } : { status: 'error', ...refusal }
        expect(told.get(recipient), id).to.deep.equal(result)
      }
    }
    const listed = await node.listAll()
    const names = new Set<string>()
    for (const { id, body, expect: wanted, values } of genuine) {
      wanted.recipients.forEach((one, index) => {
        if (!('origin' in one)) return
        const { name, signedText } = values.recipients![index]!
        names.add(`${one.recipient} ${name}`)
        const message = listed.get(`${one.recipient} ${name}`)!
        const { origin, messageBox, text } = wanted
        const sender = parseIdentityKey(curve, body.originalSender)
        expect(message, id).to.include({ sender, origin })
        // What stock clients would unpack is wrapped.
        const isWrapped = id.includes('body-with-message')
        expect(message.body, id).to.equal(isWrapped ? JSON.stringify({ message: text }) : text)
        const integer = publicInteger(Buffer.from(name, 'hex'), Buffer.from(one.recipient, 'hex'))
        expect([one.messageId, integer], id).to.include(message.messageId)
        if (origin !== 'signature') return
        // With what is listed the recipient can check the signature himself.
        const { createdAt, messageId } = message.proof!
        expect(messageText(one.recipient, messageBox, messageId, text, createdAt), id).to.equal(signedText)
      })
    }
    expect(listed.size).to.equal(names.size)
  })

  it('is taken once: all that is genuine again changes nothing', async function () {
    this.timeout(60_000)
    const [rows, listed] = [await node.rows(), await node.listAll()]
    await inParallel(genuine, async ({ id, body }) => {
      const results = await node.resultsOf(body)
      expect(
        results.some(({ status }) => status === 'success'),
        id
      ).to.equal(true)
    })
    expect(await node.rows()).to.deep.equal(rows)
    expect(await node.listAll()).to.deep.equal(listed)
  })
})

function isGenuine(one: OriginCase): one is OriginCase & { readonly expect: Accepted } {
  return one.expect.accept
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const next = items.values()
  const worker = async (): Promise<void> => {
    for (const item of next) await work(item)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}
