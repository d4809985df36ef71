import { expect } from 'chai'
import { MadeUpFunding } from '../../federation/overlay/funding.js'
import { formatRoutingText, signRoutingText } from '../../federation/phip/routing-authorization.js'
import { createTokenScript } from '../../federation/phip/token.js'
import { exchange, type TestUser } from './client.js'
import { type TestNode, until } from './nodes.js'

/** The locking script of a token: this operator takes messages for that recipient at that domain. */
export function tokenScript(operator: TestUser, domain: string, recipient: TestUser): Uint8Array {
  const text = formatRoutingText({ hostKey: operator.identityKey, domain, boxExpression: undefined })
  return createTokenScript(operator.keys, {
    domain,
    recipient: recipient.identityKey,
    recipientSignature: signRoutingText(recipient.keys, text),
    boxExpression: undefined
  })
}

/** Puts an output with this script into a node's overlay, as anybody can. */
export async function submitScript(node: TestNode, lockingScript: Uint8Array): Promise<void> {
  const { beef } = await new MadeUpFunding().fund([{ lockingScript, satoshis: 1 }], [])
  const answer = await exchange(node.url, {
    method: 'POST',
    target: '/submit',
    headers: [
      ['content-type', 'application/octet-stream'],
      ['x-topics', '["tm_phip"]']
    ],
    body: Buffer.from(beef)
  })
  expect(answer.status, answer.body.toString()).to.equal(200)
  const { tm_phip: told } = JSON.parse(answer.body.toString()) as Record<string, { outputsToAdmit: number[] }>
  expect(told!.outputsToAdmit).to.deep.equal([0])
}

/** Runs a query of the test's own in a node's database. */
export function inspect<Row>(node: TestNode, text: string, ...values: readonly unknown[]): Promise<Row[]> {
  return node.databases.database.query<Row>({ name: '', text }, values)
}

/** The operators of a recipient's live hosts in a node's index, newest first. */
export async function liveOperators(node: TestNode, recipient: TestUser): Promise<string[]> {
  const text = `select encode(operator_key, 'hex') as key from live_hosts($1)`
  const rows = await inspect<{ key: string }>(node, text, Buffer.from(recipient.identityKey, 'hex'))
  return rows.map(({ key }) => key)
}

/** Waits until a node's index names so many hosts of a recipient. */
export async function untilHosts(node: TestNode, recipient: TestUser, count: number): Promise<void> {
  await until(
    () => liveOperators(node, recipient),
    hosts => hosts.length === count
  )
}
