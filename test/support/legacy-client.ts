import { Authrite } from 'authrite-js'
import { TestUser } from './client.js'
import { until } from './nodes.js'

export interface LegacyAnswer {
  readonly status: number
  readonly json: Record<string, unknown>
}

/** A user with the legacy client (authrite-js), and what it has heard. */
export class LegacyUser {
  readonly user: TestUser
  readonly client: Authrite
  readonly url: string
  readonly heard: Record<string, unknown>[] = []

  /** @param url of the node */
  constructor(name: string, url: string) {
    this.user = new TestUser(name)
    this.client = new Authrite({ clientPrivateKey: this.user.privateKey.toString('hex') })
    this.url = url
  }

  get identityKey(): string {
    return this.user.identityKey
  }

  /** Throws where the client does, as for an answer that is not signed. */
  async post(path: string, body?: unknown): Promise<LegacyAnswer> {
    return this.#answer(this.client.request(`${this.url}${path}`, { method: 'POST', body }))
  }

  async get(target: string): Promise<LegacyAnswer> {
    return this.#answer(this.client.request(`${this.url}${target}`))
  }

  /** Opens a socket; the client tells the console how it went. */
  async connect(): Promise<void> {
    const { log } = console
    console.log = () => undefined
    try {
      await this.client.connect(this.url, { forceNew: true })
    } finally {
      console.log = log
    }
  }

  /** Resolves when the node has said that nothing will be missed any more. */
  async listen(messageBox: string): Promise<void> {
    const roomId = `${this.identityKey}-${messageBox}`
    this.client.on(`sendMessage-${roomId}`, message => this.heard.push(message))
    const joined = this.next('joinedRoom')
    await this.client.emit('joinRoom', roomId)
    await joined
  }

  /** The next data of an event, from now on. */
  next(event: string): Promise<Record<string, unknown>> {
    return new Promise(resolve => this.client.on(event, resolve))
  }

  /** What was heard, once there are as many. */
  hears(count: number): Promise<Record<string, unknown>[]> {
    return until(
      async () => this.heard,
      ({ length }) => length >= count
    )
  }

  close(): void {
    this.client.disconnect()
  }

  async #answer(request: ReturnType<Authrite['request']>): Promise<LegacyAnswer> {
    const answer = await request
    return { status: answer.status, json: await answer.json() }
  }
}
