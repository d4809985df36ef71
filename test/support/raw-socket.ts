import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { io, type Socket } from 'socket.io-client'
import { identityKeyBytes } from '../../src/keys/identity-key.js'
import { attachSockets } from '../../src/live/sockets.js'
import type { TestUser } from './client.js'
import { type MessageBoxNode, startMessageBoxNode } from './message-box-node.js'

export type AuthMessage = Record<string, unknown>

/** A BRC-103 client of which every part is open to tampering. */
export class RawSocketClient {
  readonly socket: Socket
  readonly user: TestUser
  readonly disconnected: Promise<unknown>
  #nodeNonce = ''
  #nodeKey = ''

  constructor(url: string, user: TestUser) {
    this.user = user
    this.socket = io(url, { reconnection: false, forceNew: true })
    this.disconnected = new Promise(resolve => this.socket.once('disconnect', resolve))
  }

  send(message: unknown): void {
    this.socket.emit('authMessage', message)
  }

  answer(): Promise<AuthMessage> {
    return new Promise(resolve => this.socket.once('authMessage', resolve))
  }

  async shakeHands(identityKey = this.user.identityKey): Promise<AuthMessage> {
    const initialNonce = randomBytes(48).toString('base64')
    const answer = this.answer()
    this.send({ version: '0.1', messageType: 'initialRequest', identityKey, initialNonce })
    const { initialNonce: nodeNonce, identityKey: nodeKey } = await answer
    this.#nodeNonce = String(nodeNonce)
    this.#nodeKey = String(nodeKey)
    return { nodeNonce, initialNonce }
  }

  general(eventName: string, data: unknown, by = this.user): AuthMessage {
    const payload = Buffer.from(JSON.stringify({ eventName, data }))
    const nonce = randomBytes(32).toString('base64')
    const invoiceNumber = `2-auth message signature-${nonce} ${this.#nodeNonce}`
    const signature = by.keys.sign(payload, invoiceNumber, identityKeyBytes(this.#nodeKey))
    return {
      version: '0.1',
      messageType: 'general',
      identityKey: this.user.identityKey,
      nonce,
      yourNonce: this.#nodeNonce,
      payload: [...payload],
      signature: [...signature]
    }
  }

  event(message: AuthMessage): { eventName: string; data: unknown } {
    return JSON.parse(Buffer.from(message.payload as number[]).toString())
  }
}

/** The sockets of a node on a port of their own. */
export interface SocketServer {
  readonly node: MessageBoxNode
  readonly url: string
  /** How many are open. */
  readonly connections: () => Promise<number>
  stop(): Promise<void>
}

/** @param proofMilliseconds within which a client proves who it is */
export async function startSocketServer(proofMilliseconds: number): Promise<SocketServer> {
  const node = await startMessageBoxNode()
  const server = createServer()
  const { context } = node
  const epoch = { bornAt: 0, renew: async () => undefined }
  const sockets = attachSockets(server, {
    context,
    auth: { keys: context.keys, curve: context.curve, clock: context.clock, epoch },
    proofMilliseconds,
    authriteProofMilliseconds: proofMilliseconds
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    node,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: promisify(server.getConnections.bind(server)),
    async stop() {
      await sockets.close()
      server.close()
      await node.stop()
    }
  }
}
