import { randomBytes } from 'node:crypto'
import { io, type Socket } from 'socket.io-client'
import { AUTH_VERSION, authInvoiceNumber } from '../src/auth/brc104.js'
import { identityKeyBytes } from '../src/keys/identity-key.js'
import { BenchError } from './bench-error.js'
import type { Client } from './client.js'

type AuthMessage = Readonly<Record<string, unknown>>

/** A live client of one user: BRC-103 over a socket, without the polling that stock clients begin with. */
export class LiveClient {
  readonly #socket: Socket

  private constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Resolves when the node has said that nothing is missed from now on. */
  static async open(url: string, { keys }: Client): Promise<LiveClient> {
    const socket = io(url, { transports: ['websocket'], forceNew: true, reconnection: false })
    const initialNonce = randomBytes(48).toString('base64')
    const { identityKey } = keys
    socket.emit('authMessage', {
      version: AUTH_VERSION,
      messageType: 'initialRequest',
      identityKey,
      initialNonce
    })
    const { initialNonce: yourNonce, identityKey: nodeKey } = await answerTo(socket)
    const payload = Buffer.from(JSON.stringify({ eventName: 'authenticated', data: { identityKey } }))
    const nonce = randomBytes(32).toString('base64')
    const invoiceNumber = authInvoiceNumber(`${nonce} ${String(yourNonce)}`)
    const signature = keys.sign(payload, invoiceNumber, identityKeyBytes(String(nodeKey)))
    socket.emit('authMessage', {
      version: AUTH_VERSION,
      messageType: 'general',
      identityKey,
      nonce,
      yourNonce,
      payload: [...payload],
      signature: [...signature]
    })
    const { payload: said } = await answerTo(socket)
    if (!Array.isArray(said) || !Buffer.from(said).includes('authenticationSuccess'))
      throw new BenchError('A socket was not authenticated.')
    return new LiveClient(socket)
  }

  get isOpen(): boolean {
    return this.#socket.connected
  }

  close(): void {
    this.#socket.disconnect()
  }
}

function answerTo(socket: Socket): Promise<AuthMessage> {
  return new Promise((resolve, reject) => {
    const closed = (): void => reject(new BenchError('The node has closed a socket.'))
    socket.once('disconnect', closed).once('connect_error', closed)
    socket.once('authMessage', (message: AuthMessage) => {
      socket.off('disconnect', closed).off('connect_error', closed)
      resolve(message)
    })
  })
}
