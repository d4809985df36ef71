import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { type Answer, exchange, type TestUser } from '../support/client.js'
import { startTestNode, type TestNode } from '../support/nodes.js'
import {
  Cast,
  expectContained,
  type PublishedVector,
  publishedVectors
} from '../support/published-vectors.js'

const RECIPIENT = '02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5'
const SENDER = '028d37b941208cd6b8a4c28288eda5f2f16c2b3ab0fcb6d13c18b47fe37b971fc1'

/** What a vector takes for granted. */
const GIVEN: Record<string, (url: string, cast: Cast) => Promise<Answer>> = {
  'messaging.messagebox-http.listmessages.2': (url, cast) => {
    const recipient = cast.user(RECIPIENT).identityKey
    const message = { recipient, messageBox: 'inbox', messageId: 'msg-001', body: '{"amount":1000}' }
    return cast.user(SENDER).post(url, '/sendMessage', { message })
  },
  'messaging.messagebox-http.getpermission.1': (url, cast) => {
    const rule = { messageBox: 'inbox', sender: cast.user(SENDER).identityKey, recipientFee: 500 }
    return cast.user(RECIPIENT).post(url, '/permissions/set', rule)
  }
}

describe('published vectors of the message box HTTP API', () => {
  let node: TestNode
  before(async () => {
    node = await startTestNode('published vectors')
  })
  after(() => node.remove())

  for (const vector of publishedVectors('messaging/message-box-http.json')) {
    const title = `${vector.id.replace('messaging.messagebox-http.', '')}: ${vector.description}`
    it(title, async () => {
      const cast = new Cast(randomUUID())
      const given = await GIVEN[vector.id]?.(node.url, cast)
      if (given !== undefined) expect(given.status, given.body.toString()).to.equal(200)
      const played = cast.play(vector)
      const caller = vector.input.headers?.['x-bsv-auth-identity-key']
      const answer = await call(node.url, played, caller === undefined ? undefined : cast.user(caller))
      expect(answer.status, answer.body.toString()).to.equal(played.expected.status)
      expectContained(JSON.parse(answer.body.toString()), played.expected.body)
    })
  }
})

/** As whom the vector names, signed; or unauthenticated. */
function call(url: string, { input }: PublishedVector, caller: TestUser | undefined) {
  const { method = 'POST', path = '/', body } = input
  if (caller !== undefined) return method === 'GET' ? caller.get(url, path) : caller.post(url, path, body)
  const headers: [string, string][] = [['content-type', 'application/json']]
  return exchange(url, { method, target: path, headers, body: Buffer.from(JSON.stringify(body)) })
}
