import { expect } from 'chai'
import fc from 'fast-check'
import { requestPreimage, signedRequestHeaders } from '../../src/auth/preimage.js'
import { inspect, untilHosts } from '../support/advertised.js'
import { type Answer, TestUser } from '../support/client.js'
import {
  authorizeRouting,
  authorizeSending,
  type ListedMessage,
  listMessages,
  startMesh,
  type TestNode,
  until
} from '../support/nodes.js'

const MESSAGES = 60

/** One character of a string in one of its spellings in JSON. */
const spelledCharacter = (character: string, choice: number): string => {
  const code = character.charCodeAt(0)
  const escaped = [...Array(character.length).keys()]
    .map(at => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`)
    .join('')
  if (choice === 0) return escaped
  if (choice === 1) return escaped.toUpperCase().replaceAll('\\U', '\\u')
  if (character === '/' && choice === 2) return '\\/'
  if (character === '\n' || character === '\t') return character === '\n' ? '\\n' : '\\t'
  if (character === '"' || character === '\\') return `\\${character}`
  return code < 0x20 ? escaped : character
}

/** Strict JSON has neither NUL nor lone surrogates. */
const text = fc
  .oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: 'binary' }),
    fc.constant('ﬀ e\u0301 \u2028 \ufeff')
  )
  .map(value => value.replaceAll(/\0|\p{Surrogate}/gu, '·'))
const spelled = (value: string): fc.Arbitrary<string> =>
  fc
    .array(fc.nat(12), { minLength: 32, maxLength: 32 })
    .map(choices => `"${[...value].map((each, at) => spelledCharacter(each, choices[at % 32]!)).join('')}"`)
const blank = fc.stringMatching(/^[ \t\n\r]{0,3}$/)
const number = fc.constantFrom(
  '0',
  '-0',
  '1e2',
  '1E+2',
  '100',
  '1.50',
  '0.1e-7',
  '9007199254740993',
  '1e21',
  '5e-324'
)

/** What a spelled value means, as whoever wrote it meant it; undefined where only the spelling is of interest. */
interface Spelled {
  readonly json: string
  readonly meant?: string
}

const body: fc.Arbitrary<Spelled> = fc.oneof(
  text.filter(value => value.trim() !== '').chain(meant => spelled(meant).map(json => ({ json, meant }))),
  fc
    .tuple(
      fc.array(fc.tuple(text.chain(spelled), fc.oneof(number, text.chain(spelled))), { maxLength: 6 }),
      blank
    )
    .map(([members, space]) => ({
      json: `{${members
        .filter(([name], at) => members.findIndex(([other]) => JSON.parse(other) === JSON.parse(name)) === at)
        .filter(([name]) => JSON.parse(name) !== '__proto__')
        .map(([name, value]) => `${space}${name}${space}:${space}${value}`)
        .join(',')}${space}}`
    }))
)

/** Whatever a sender may write for one and the same request: order, blanks, escapes, members that nobody reads. */
const request = (recipient: string, id: number): fc.Arbitrary<Spelled> =>
  fc
    .record({
      body,
      order: fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 }),
      space: fc.array(blank, { minLength: 8, maxLength: 8 }),
      name: spelled('messageBox'),
      extra: fc.tuple(text.chain(spelled), number)
    })
    .map(({ body: { json, meant }, order, space, name, extra }) => {
      const members = [
        `"recipient"${space[0]}:"${recipient}"`,
        `${name}:${space[1]}"verbatim"`,
        `"messageId":${space[2]}"id ${id}"`,
        `"body"${space[3]}:${space[4]}${json}`,
        `"unread ${extra[0].slice(1)}:${extra[1]}`
      ]
      const message = order.map(at => members[at]).join(`${space[5]},`)
      const all = `${space[6]}{"message"${space[7]}:{${message}}}${space[6]}`
      return meant === undefined ? { json: all } : { json: all, meant }
    })

/** What is signed at the first node, kept at the second, and handed on to the third by that. */
describe('a message along three nodes', () => {
  let nodes: readonly [TestNode, TestNode, TestNode]
  const alice = new TestUser('alice verbatim')
  const bob = new TestUser('bob verbatim')

  before(async function () {
    this.timeout(60_000)
    const options = { federation: { random: () => 0 } }
    nodes = (await startMesh(['verbatim one', 'verbatim two', 'verbatim three'], { options })) as [
      TestNode,
      TestNode,
      TestNode
    ]
    await authorizeSending(alice, nodes[0])
    await authorizeRouting(bob, nodes[1])
    await untilHosts(nodes[0], bob, 1)
  })
  after(() => Promise.all((nodes ?? []).map(node => node.remove())))

  /** What the sender has signed, put together from what left him. */
  function signedBytes({ request: { method, target, headers, body: bytes } }: Answer): string {
    const header = (name: string): string => headers.find(([other]) => other === name)![1]
    return requestPreimage({
      requestId: Buffer.from(header('x-bsv-auth-request-id'), 'base64'),
      method,
      path: target,
      query: '',
      headers: signedRequestHeaders(['content-type', header('content-type')]) ?? [],
      body: [bytes]
    }).toString('hex')
  }

  it('is kept and handed on as it was signed, and read alike by all, however it is spelled', async function () {
    this.timeout(60_000)
    const seed = Date.now() & 0x7fffffff
    const sent = new Map<string, { readonly signed: string; readonly raw: string; readonly meant?: string }>()
    for (let id = 0; id < MESSAGES; id++) {
      const [{ json: raw, meant }] = fc.sample(request(bob.identityKey, id), {
        numRuns: 1,
        seed: seed + id
      }) as [Spelled]
      const answer = await alice.post(nodes[0].url, '/sendMessage', raw)
      expect(answer.status, `seed ${seed}, ${id}: ${raw} ${answer.body}`).to.equal(200)
      sent.set(`id ${id}`, { signed: signedBytes(answer), raw, ...(meant === undefined ? {} : { meant }) })
    }
    const arrive = (node: TestNode) =>
      until(
        () => listMessages(bob, node, 'verbatim'),
        messages => messages.length === MESSAGES
      )
    const atTwo = await arrive(nodes[1])
    await authorizeRouting(bob, nodes[2])
    const atThree = await arrive(nodes[2])

    for (const [at, messages] of [atTwo, atThree].entries()) {
      const rows = await inspect<{ shown_id: string; signed: string }>(
        nodes[at + 1]!,
        `select m.shown_id, encode(e.signed_bytes, 'hex') as signed
         from messages m join recipients r on r.id = m.recipient_id join envelopes e on e.id = m.envelope_id
         where r.identity_key = $1`,
        Buffer.from(bob.identityKey, 'hex')
      )
      const stored = new Map(rows.map(row => [row.shown_id, row.signed]))
      for (const { messageId, body: shown, sender } of messages) {
        const { signed, raw, meant } = sent.get(String(messageId))!
        const what = `seed ${seed}, node ${at + 1}, ${messageId}: ${raw}`
        expect(stored.get(String(messageId)), what).to.equal(signed)
        expect(sender, what).to.equal(alice.identityKey)
        if (meant !== undefined) expect(unwrapped(shown), what).to.equal(meant)
      }
    }
    const read = (messages: readonly ListedMessage[]) =>
      messages.map(({ messageId, body: shown, envelopeId, origin }) => ({
        messageId,
        shown,
        envelopeId,
        origin
      }))
    const byId = (a: { messageId: string | number }, b: { messageId: string | number }) =>
      String(a.messageId) < String(b.messageId) ? -1 : 1
    expect(read(atThree).sort(byId), `seed ${seed}`).to.deep.equal(read(atTwo).sort(byId))
  })
})

/** Stock clients unwrap what has a member "message"; so does this test. */
function unwrapped(shown: string): string {
  const match = /^\{"message":/.test(shown) ? (JSON.parse(shown) as { message: unknown }) : undefined
  return typeof match?.message === 'string' ? match.message : shown
}
