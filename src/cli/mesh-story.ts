import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { authorizeRouting, authorizeSending } from './authorizations.js'
import { CommandError } from './command.js'
import type { MeshNode } from './mesh-node.js'
import { acknowledgeMessages, listMessages, type ReceivedMessage, sendMessage } from './messages.js'
import { NodeClient } from './node-client.js'
import { duration, type Output } from './output.js'
import { findHosts } from './recipient-hosts.js'
import type { User } from './user-key.js'

/** Somebody at his home host. */
export interface Resident {
  readonly name: string
  readonly user: User
  readonly node: MeshNode
}

export type Residents = readonly [alice: Resident, bob: Resident, carol: Resident]

const BOX = 'inbox'
const POLL_MILLISECONDS = 25
/** No step takes longer, unless something is wrong. */
const STEP_MILLISECONDS = 60_000

/** The demonstration: what a mesh does, step by step, each with its timing. */
export class MeshStory {
  readonly #output: Output
  readonly #residents: Residents
  readonly #clients: NodeClient[] = []

  constructor(residents: Residents, output: Output) {
    this.#residents = residents
    this.#output = output
  }

  /** @throws CommandError at the first step that fails */
  async tell(): Promise<void> {
    const [alice, bob, carol] = this.#residents
    const all = this.#residents
    await this.#step('start', `nodes ${all.map(({ node }) => `${node.name} ${node.url}`).join(', ')}`, () =>
      Promise.all(all.map(({ node }) => node.start()))
    )
    await this.#step('authorize', all.map(({ name, node }) => `${name} at ${node.name}`).join(', '), () =>
      Promise.all(all.map(resident => this.#authorize(resident)))
    )
    await this.#step('advertise', 'every node knows the host of everybody', () => this.#untilAllKnowAll())

    await this.#sendAcross(alice, bob)
    await this.#receive(bob)

    await this.#step('stop', `node ${carol.node.name}, the host of ${carol.name}`, () => carol.node.stop())
    await this.#sendAcross(alice, carol)
    await this.#step('start', `node ${carol.node.name} again`, () => carol.node.start())
    await this.#receive(carol)
  }

  close(): void {
    for (const client of this.#clients) client.close()
  }

  /** What was sent last. */
  #body = ''

  async #sendAcross(from: Resident, to: Resident): Promise<void> {
    // A mesh keeps its data, so there may be messages of an earlier run.
    this.#body = `Hello ${to.name}, this is ${from.name} (${randomBytes(4).toString('hex')})`
    const recipient = to.user.keys.identityKey
    const what = `${from.name} at ${from.node.name} to ${to.name}: '${this.#body}'`
    await this.#step('send', what, async () => {
      const message = { recipient, messageBox: BOX, body: this.#body, isSigned: true }
      const { delivery } = await sendMessage(this.#client(from), message)
      return `accepted: ${delivery}`
    })
  }

  async #receive(to: Resident): Promise<void> {
    const client = this.#client(to)
    const message = await this.#step('arrive', `in the box of ${to.name} at ${to.node.name}`, () =>
      until(() => this.#find(client))
    )
    const { messageId, origin } = message
    await this.#step('list', `${to.name} reads message ${messageId}, origin '${origin}'`, () =>
      this.#find(client)
    )
    await this.#step('acknowledge', `${to.name} deletes it`, async () => {
      const acknowledged = await acknowledgeMessages(client, [messageId])
      if (acknowledged !== 1 || (await this.#find(client)) !== undefined) {
        throw new CommandError('ERR_MESH', `Message ${messageId} is still there after its acknowledgement.`)
      }
    })
  }

  async #find(client: NodeClient): Promise<ReceivedMessage | undefined> {
    const { messages } = await listMessages(client, BOX)
    return messages.find(({ body }) => body === this.#body)
  }

  async #authorize(resident: Resident): Promise<void> {
    const client = this.#client(resident)
    await authorizeSending(client)
    await authorizeRouting(client, undefined)
  }

  async #untilAllKnowAll(): Promise<void> {
    for (const asked of this.#residents) {
      for (const { user, node } of this.#residents) {
        const { identityKey } = await this.#client({ user, node }).document()
        await until(async () => {
          const { hosts } = await findHosts(this.#client(asked), user.keys.identityKey)
          return hosts.find(({ operatorKey }) => operatorKey === identityKey)
        })
      }
    }
  }

  #client({ user, node }: Pick<Resident, 'user' | 'node'>): NodeClient {
    const known = this.#clients.find(({ url, keys }) => url === node.url && keys === user.keys)
    if (known !== undefined) return known
    const client = new NodeClient(node.url, user.keys)
    this.#clients.push(client)
    return client
  }

  async #step<T>(name: string, what: string, work: () => Promise<T>): Promise<T> {
    const start = performance.now()
    try {
      const result = await work()
      const milliseconds = Math.round(performance.now() - start)
      const remark = typeof result === 'string' ? ` (${result})` : ''
      this.#output.event(
        { step: name, what: `${what}${remark}`, milliseconds },
        `${duration(milliseconds).padStart(8)}  ${name.padEnd(11)}  ${what}${remark}`
      )
      return result
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      throw new CommandError(error.code, `The mesh failed at '${name}' (${what}): ${error.message}`, {
        cause: error
      })
    }
  }
}

/** Asks again and again until there is an answer. */
async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + STEP_MILLISECONDS
  while (performance.now() < end) {
    const answer = await ask()
    if (answer !== undefined) return answer
    await delay(POLL_MILLISECONDS)
  }
  throw new CommandError('ERR_MESH', `Nothing after ${duration(STEP_MILLISECONDS)}.`)
}
