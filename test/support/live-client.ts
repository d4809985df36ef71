import { AuthSocketClient } from '@bsv/authsocket-client'
import { MessageBoxClient, type PeerMessage } from '@bsv/message-box-client'
import { TestUser } from './client.js'
import { until } from './nodes.js'
import { stockWallet } from './stock-client.js'

/** A user with the stock live client, and what it has heard. */
export class LiveUser {
  readonly user: TestUser
  readonly client: MessageBoxClient
  readonly heard: PeerMessage[] = []

  /** @param host URL of the node */
  constructor(name: string, host: string) {
    this.user = new TestUser(name)
    this.client = new MessageBoxClient({ walletClient: stockWallet(this.user), host, networkPreset: 'local' })
  }

  /** Resolves when the node has said that the client is authenticated, from when on nothing is missed. */
  async listen(messageBox: string): Promise<void> {
    await this.client.listenForLiveMessages({ messageBox, onMessage: message => this.heard.push(message) })
  }

  /** Bodies in the order they came, once there are as many. */
  async hears(count: number): Promise<unknown[]> {
    await until(
      async () => this.heard.length,
      length => length >= count
    )
    return this.heard.map(({ body }) => body)
  }

  /** Over the socket; resolves with the answer, or what the fallback over HTTP has brought. */
  send(recipient: TestUser, messageBox: string, body: string, skipEncryption = true) {
    return this.client.sendLiveMessage({ recipient: recipient.identityKey, messageBox, body, skipEncryption })
  }

  async close(): Promise<void> {
    await this.client.disconnectWebSocket()
  }
}

/** What a socket hears, event by event. */
export interface RawLiveClient {
  emit(eventName: string, data: unknown): void
  /** The next data of an event, from now on. */
  next(eventName: string): Promise<unknown>
  readonly disconnected: Promise<unknown>
  close(): void
}

/** The stock socket without the message box client around it. */
export function connectSocket(user: TestUser, url: string): RawLiveClient {
  const socket = AuthSocketClient(url, {
    wallet: stockWallet(user),
    managerOptions: { reconnection: false, forceNew: true }
  })
  return {
    emit: (eventName, data) => void socket.emit(eventName, data),
    next: eventName => new Promise(resolve => socket.on(eventName, resolve)),
    disconnected: new Promise(resolve => socket.on('disconnect', resolve)),
    close: () => socket.disconnect()
  }
}
