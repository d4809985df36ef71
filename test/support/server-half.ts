import { randomBytes } from 'node:crypto'
import { PrivateKey, ProtoWallet, Utils, type WalletProtocol } from '@bsv/sdk'
import type { ReceivedRequest, Script } from './peer.js'

/** An answer after it was signed, before it leaves. */
export interface SignedAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const PROTOCOL: WalletProtocol = [2, 'auth message signature']

/**
 * The server's half of BRC-103 over BRC-104, made of @bsv/sdk and nothing of this project. A request that it cannot
 * verify fails the test.
 */
export class ServerHalf {
  readonly identityKey: string
  readonly #wallet: ProtoWallet
  readonly #sessions = new Map<string, { readonly clientKey: string; readonly clientNonce: string }>()

  /** @param privateKey hex */
  constructor(privateKey: string) {
    const key = PrivateKey.fromHex(privateKey)
    this.identityKey = key.toPublicKey().toString()
    this.#wallet = new ProtoWallet(key)
  }

  /** From now on no session is known. */
  forget(): void {
    this.#sessions.clear()
  }

  /** @param change what is answered instead of the proper reply */
  handshake(change: (reply: Record<string, unknown>) => unknown = reply => reply): Script {
    return async (request, response) => {
      const { identityKey: clientKey, initialNonce: clientNonce } = JSON.parse(request.body.toString())
      const initialNonce = randomBytes(48).toString('base64')
      this.#sessions.set(initialNonce, { clientKey, clientNonce })
      const signature = await this.#sign(
        [...Buffer.from(clientNonce, 'base64'), ...Buffer.from(initialNonce, 'base64')],
        `${clientNonce} ${initialNonce}`,
        clientKey
      )
      const reply = {
        version: '0.1',
        messageType: 'initialResponse',
        identityKey: this.identityKey,
        initialNonce,
        yourNonce: clientNonce,
        requestedCertificates: { certifiers: [], types: {} },
        signature
      }
      response.writeHead(200).end(JSON.stringify(change(reply)))
    }
  }

  /**
   * Checks the request and signs this answer to it; answers a session it doesn't know with the unsigned 401.
   *
   * @param change what becomes of the answer after it was signed
   */
  signed(
    status: number,
    body: unknown,
    headers: Readonly<Record<string, string>> = {},
    change: (answer: SignedAnswer) => SignedAnswer = answer => answer
  ): Script {
    return async (request, response) => {
      const session = this.#sessions.get(header(request, 'x-bsv-auth-your-nonce'))
      if (session === undefined) {
        response.writeHead(401).end('{"description":"Session not found for nonce"}')
        return
      }
      await this.#verify(request, session.clientKey)
      const text = typeof body === 'string' ? body : JSON.stringify(body)
      const nonce = randomBytes(32).toString('base64')
      const writer = new Utils.Writer().write(requestId(request)).writeVarIntNum(status)
      const names = Object.keys(headers).filter(name => name.startsWith('x-bsv-'))
      writer.writeVarIntNum(names.length)
      for (const name of names.sort()) writeText(writeText(writer, name), headers[name] ?? '')
      const signature = await this.#sign(
        writeText(writer, text).toArray(),
        `${nonce} ${session.clientNonce}`,
        session.clientKey
      )
      const proof = {
        'x-bsv-auth-version': '0.1',
        'x-bsv-auth-identity-key': this.identityKey,
        'x-bsv-auth-nonce': nonce,
        'x-bsv-auth-your-nonce': session.clientNonce,
        'x-bsv-auth-request-id': header(request, 'x-bsv-auth-request-id'),
        'x-bsv-auth-signature': Buffer.from(signature).toString('hex')
      }
      const answer = change({ status, headers: { ...headers, ...proof }, body: text })
      response.writeHead(answer.status, { ...answer.headers }).end(answer.body)
    }
  }

  async #verify(request: ReceivedRequest, clientKey: string): Promise<void> {
    const [path = '', query] = request.path.split('?')
    const writer = new Utils.Writer().write(requestId(request))
    writeText(writeText(writer, request.method), path)
    if (query === undefined) writer.writeVarIntNum(-1)
    else writeText(writer, `?${query}`)
    if (request.body.length === 0) writer.writeVarIntNum(0).writeVarIntNum(-1)
    else {
      writeText(writeText(writer.writeVarIntNum(1), 'content-type'), header(request, 'content-type'))
      writer.writeVarIntNum(request.body.length).write([...request.body])
    }
    const keyID = `${header(request, 'x-bsv-auth-nonce')} ${header(request, 'x-bsv-auth-your-nonce')}`
    const signature = [...Buffer.from(header(request, 'x-bsv-auth-signature'), 'hex')]
    if (header(request, 'x-bsv-auth-identity-key') !== clientKey) throw new Error('another identity key')
    const data = writer.toArray()
    // Throws if it does not verify.
    await this.#wallet.verifySignature({
      data,
      signature,
      protocolID: PROTOCOL,
      keyID,
      counterparty: clientKey
    })
  }

  async #sign(data: number[], keyID: string, counterparty: string): Promise<number[]> {
    const { signature } = await this.#wallet.createSignature({
      data,
      protocolID: PROTOCOL,
      keyID,
      counterparty
    })
    return signature
  }
}

function header(request: ReceivedRequest, name: string): string {
  const value = request.headers[name]
  if (typeof value !== 'string') throw new Error(`no header ${name}`)
  return value
}

function requestId(request: ReceivedRequest): number[] {
  const bytes = [...Buffer.from(header(request, 'x-bsv-auth-request-id'), 'base64')]
  if (bytes.length !== 32) throw new Error('a request id has 32 bytes')
  return bytes
}

function writeText(writer: Utils.Writer, text: string): Utils.Writer {
  const bytes = Utils.toArray(text, 'utf8')
  return writer.writeVarIntNum(bytes.length).write(bytes)
}
