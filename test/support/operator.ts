import { type Answer, TestUser } from './client.js'
import type { TestNode } from './nodes.js'

/** A call of the operator of a node that `startTestNode` has started; throws unless it succeeds. */
export async function steer(node: TestNode, call: string, body: object): Promise<Answer['json']> {
  const answer = await new TestUser(`node ${node.name}`).post(node.node.adminUrl, `/operator/${call}`, body)
  if (answer.status !== 200) throw new Error(`${call}: ${answer.status} ${answer.body}`)
  return answer.json
}

/** Puts something on a list of the operator. */
export async function block(node: TestNode, kind: string, value: string): Promise<void> {
  await steer(node, 'changeList', { list: 'block', kind, values: [value] })
}

export async function unblock(node: TestNode, kind: string, value: string): Promise<void> {
  await steer(node, 'changeList', { list: 'block', kind, values: [value], remove: true })
}
