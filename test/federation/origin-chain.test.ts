import { expect } from 'chai'
import { signPortably } from '../../src/keys/portable-signature.js'
import { type Answer, TestUser } from '../support/client.js'
import { authorizeRouting, listMessages, startMesh, type TestNode, until } from '../support/nodes.js'
import { BASES } from '../support/origin-bases.js'
import {
  type AuthorizationRecipe,
  build,
  messageText,
  type Recipe,
  senderText
} from '../support/origin-messages.js'
import { DAY, MINUTE, NOW, privateKey, recipient, seededBase64 } from '../support/origin-parties.js'
import { type Members, preimage } from '../support/origin-requests.js'

interface EnvelopeRow {
  readonly id: string
  readonly sender: string
  readonly format: string
  readonly key_id: string
  readonly signed: string
  readonly signature: string
  readonly linkage: string | null
  readonly proof: Members | null
}

/** Everything that a proof of origin is made of, as text. */
const ENVELOPES = `
  select encode(e.id, 'hex') as id, encode(e.sender, 'hex') as sender, e.format, e.key_id,
    encode(e.signed_bytes, 'hex') as signed, encode(e.signature, 'hex') as signature,
    encode(e.key_linkage, 'hex') as linkage, e.proof
  from messages m join envelopes e on e.id = m.envelope_id join recipients r on r.id = m.recipient_id where r.identity_key = $1 order by e.id`

describe('proofs of origin along three nodes', () => {
  let [one, two, three]: TestNode[] = []
  const began = performance.now()
  /** The time of the corpus, which goes on from there. */
  const now = (): number => NOW + Math.floor(performance.now() - began)
  const forwarding = new TestUser('forwarding host')

  before(async function () {
    this.timeout(60_000)
    ;[one, two, three] = await startMesh(['first', 'second', 'third'], { options: { clock: { now } } })
  })
  after(() => Promise.all([one, two, three].map(node => node?.remove())))

  const query = <Row>(node: TestNode, text: string, values: readonly unknown[] = []): Promise<Row[]> =>
    node.databases.database.query<Row>({ name: '', text }, values)
  const envelopesOf = (node: TestNode, user: TestUser): Promise<EnvelopeRow[]> =>
    query<EnvelopeRow>(node, ENVELOPES, [Buffer.from(user.identityKey, 'hex')])
  /** Waits until a node's own index names so many hosts of this user. */
  const known = (node: TestNode, user: TestUser, hosts: number): Promise<unknown> =>
    until(
      () => query(node, 'select from live_hosts($1)', [Buffer.from(user.identityKey, 'hex')]),
      found => found.length === hosts
    )
  const arrives = (node: TestNode, user: TestUser, messageBox: string, count: number) =>
    until(
      () => listMessages(user, node, messageBox),
      messages => messages.length === count
    )

  it('passes on byte for byte what was signed, with its proof, in every format', async () => {
    const bob = new TestUser(privateKey(recipient))
    await authorizeRouting(bob, two!)
    const sent = BASES.map(({ name, recipe }) => build({ ...recipe, messageId: name }))
    for (const { body } of sent) {
      const answer = await forwarding.post(two!.url, '/propagateMessage', body)
      expect(answer.json.results, answer.body.toString()).to.deep.equal([
        { recipient: bob.identityKey, status: 'success' }
      ])
    }
    const stored = await envelopesOf(two!, bob)
    const signed = sent.map(({ body, values }): EnvelopeRow => {
      const { senderAuthorization, hostAttestation } = body
      return {
        id: values.envelopeId!,
        sender: String(body.originalSender),
        format: String(body.signedMessageFormat),
        key_id: String(body.keyID),
        signed: Buffer.from(String(body.signedMessage), 'base64').toString('hex'),
        signature: String(body.senderSignature),
        linkage: String(body.keyLinkage),
        proof:
          senderAuthorization === undefined ? null : ({ senderAuthorization, hostAttestation } as Members)
      }
    })
    expect(stored).to.deep.equal(signed.sort((a, b) => (a.id < b.id ? -1 : 1)))

    const atTwo = await listMessages(bob, two!, 'inbox')
    await authorizeRouting(bob, three!)
    const atThree = await arrives(three!, bob, 'inbox', sent.length)
    expect(await envelopesOf(three!, bob)).to.deep.equal(stored)
    const shown = (messages: typeof atTwo) =>
      new Map(messages.map(({ envelopeId, sender, body, origin }) => [envelopeId, { sender, body, origin }]))
    expect(shown(atThree)).to.deep.equal(shown(atTwo))
  })

  it('hands on what its users have signed, byte for byte, and that again', async () => {
    const alice = new TestUser('alice of the first')
    const bob = new TestUser('bob of the second')
    await authorizeRouting(bob, two!)
    await known(one!, bob, 1)
    await authorizeSending(alice, one!)
    const createdAt = now()
    const message = { recipient: bob.identityKey, messageBox: 'inbox' }
    const text = messageText(bob.identityKey, 'inbox', undefined, 'signed "é"\n', createdAt)
    const encryptedMessage = seededBase64('sealed along three nodes', 60)
    const answers = [
      await send(alice, {
        ...message,
        body: 'signed "é"\n',
        createdAt,
        signature: signPortably(alice.keys, text)
      }),
      await send(alice, { ...message, body: { in: 'clear', 'of ': ['é', 1e3] } }),
      await send(alice, { ...message, body: JSON.stringify({ encryptedMessage }) })
    ]
    const signed = answers.map(answer => signedBytesOf(answer).toString('hex'))
    await arrives(two!, bob, 'inbox', 3)
    await authorizeRouting(bob, three!)
    await arrives(three!, bob, 'inbox', 3)
    const [atTwo, atThree] = [await envelopesOf(two!, bob), await envelopesOf(three!, bob)]
    expect(new Set(atTwo.map(envelope => envelope.signed))).to.deep.equal(new Set(signed))
    expect(atThree).to.deep.equal(atTwo)
    const origins = async (node: TestNode): Promise<string[]> =>
      (await listMessages(bob, node, 'inbox')).map(({ origin }) => origin).sort()
    // Authorized, the first node attests the sealed one, too.
    expect(await origins(two!)).to.deep.equal(['home-host', 'home-host', 'signature'])
    expect(await origins(three!)).to.deep.equal(await origins(two!))
  })

  it('gives nothing for an authorization older than the end of the sender’s token at that host', async () => {
    const alice = new TestUser('alice who left the first')
    const bob = new TestUser('bob of the second, later')
    await authorizeRouting(bob, two!)
    await authorizeRouting(alice, one!)
    await known(two!, alice, 1)
    const given = now() - MINUTE
    let sent = 0
    const judge = async (authorization: AuthorizationRecipe): Promise<unknown> => {
      const label = `void ${++sent}`
      const recipe: Recipe = {
        label,
        sender: alice.keys,
        host: new TestUser('node first').keys,
        recipients: [bob.keys],
        messageId: undefined,
        body: label,
        attested: true,
        authorization: { expires: now() + DAY, ...authorization },
        attestation: { receivedAt: now() }
      }
      const answer = await forwarding.post(two!.url, '/propagateMessage', build(recipe).body)
      expect(answer.status, answer.body.toString()).to.equal(200)
      const [{ recipient: key, ...result }] = answer.json.results as [Record<string, unknown>]
      expect(key).to.equal(bob.identityKey)
      return result
    }
    const success = { status: 'success' }
    const isVoid = {
      status: 'error',
      code: 'ERR_ORIGIN_UNPROVEN',
      httpStatus: 403,
      check: 'sender-authorization-void'
    }
    expect(await judge({ given })).to.deep.equal(success)
    expect((await alice.post(one!.url, '/revokeRouting', {})).json).to.include({ revoked: true })
    await known(two!, alice, 0)
    expect(await judge({ given })).to.deep.equal(isVoid)
    expect(await listMessages(bob, two!, 'inbox')).to.have.length(1)
    // The one that was given since counts, and with a live token there all of them do.
    expect(await judge({ given: now() })).to.deep.equal(success)
    // Not at once: authorizations have a rate.
    const returns = () =>
      authorizeRouting(alice, one!, '^back$').then(
        () => true,
        () => false
      )
    await until(returns, done => done)
    await known(two!, alice, 1)
    expect(await judge({ given })).to.deep.equal(success)
  })

  /** By the clock of the nodes. */
  async function authorizeSending(user: TestUser, node: TestNode): Promise<void> {
    const terms = { given: now(), expires: now() + DAY }
    const signature = signPortably(user.keys, senderText(node.identityKey, terms.given, terms.expires))
    const answer = await user.post(node.url, '/authorizeSending', { ...terms, signature })
    expect(answer.status, answer.body.toString()).to.equal(200)
  }

  async function send(user: TestUser, message: object): Promise<Answer> {
    const answer = await user.post(one!.url, '/sendMessage', { message })
    expect(answer.status, answer.body.toString()).to.equal(200)
    return answer
  }

  /** What the user has signed, put together from what was sent. */
  function signedBytesOf({ request }: Answer): Buffer {
    const header = (name: string): string => request.headers.find(([other]) => other === name)![1]
    return preimage({
      requestId: Buffer.from(header('x-bsv-auth-request-id'), 'base64'),
      method: request.method,
      path: request.target,
      query: undefined,
      headers: [['content-type', header('content-type')]],
      body: request.body
    })
  }
})
