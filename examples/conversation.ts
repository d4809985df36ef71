import { MessageBoxClient } from '@bsv/message-box-client'
import { AuthFetch, CompletedProtoWallet, type PrivateKey, Utils } from '@bsv/sdk'

/** A line of a chat, decrypted. */
export interface Line {
  /** Identity key of who wrote it. */
  readonly sender: string
  readonly text: string
}

/** Everybody's box for this example. */
const MESSAGE_BOX = 'chat'
/** Between two looks for what came while the line was down, ms. */
const LOOK_MILLISECONDS = 20_000
/** Ids remembered so that no line is shown twice. */
const REMEMBERED = 1_000

/**
 * One user at one node, with the stock client: makes the node a home of his, hears what arrives, sends to anybody, on whichever
 * node he is. Bodies are encrypted end to end, as the stock client does it, which is also what lets nodes pass them on.
 */
export class Conversation {
  readonly identityKey: string
  readonly #host: string
  readonly #wallet: CompletedProtoWallet
  readonly #client: MessageBoxClient
  readonly #onLine: (line: Line) => void
  readonly #shown = new Set<string>()
  #timer: ReturnType<typeof setInterval> | undefined

  /**
   * @param host URL of the user's node, without a slash at the end
   * @param onLine called once for each line, in the order they arrived
   */
  constructor(key: PrivateKey, host: string, onLine: (line: Line) => void) {
    this.identityKey = key.toPublicKey().toString()
    this.#host = host
    this.#wallet = new CompletedProtoWallet(key)
    this.#client = new MessageBoxClient({ walletClient: this.#wallet, host, networkPreset: 'local' })
    this.#onLine = onLine
  }

  /** Resolves when the node takes messages for the user, and nothing that arrives is missed. */
  async open(): Promise<void> {
    await this.#authorizeRouting()
    await this.#client.listenForLiveMessages({
      messageBox: MESSAGE_BOX,
      onMessage: message => void this.#show(message)
    })
    await this.#lookForMissed()
    this.#timer = setInterval(() => void this.#lookForMissed().catch(() => undefined), LOOK_MILLISECONDS)
  }

  /** Resolves when the user's node has the line and answers for it. */
  async send(recipient: string, text: string): Promise<void> {
    await this.#client.sendLiveMessage({
      recipient,
      messageBox: MESSAGE_BOX,
      body: { text },
      // The client would take a hash of the text: the same said twice would be one message.
      messageId: Utils.toHex([...crypto.getRandomValues(new Uint8Array(16))])
    })
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#client.disconnectWebSocket()
  }

  /** BRC-34: other nodes find the user here. The same authorization again changes nothing. */
  async #authorizeRouting(): Promise<void> {
    const document = await fetch(`${this.#host}/.well-known/peerserv`)
    const { identityKey, domain } = (await document.json()) as Record<string, unknown>
    const message = `${identityKey} ${domain} ALL`
    const { signature } = await this.#wallet.createSignature({
      data: Utils.toArray(message, 'utf8'),
      protocolID: [1, 'phip authorization'],
      keyID: '1',
      counterparty: 'anyone'
    })
    const answer = await new AuthFetch(this.#wallet).fetch(`${this.#host}/authorizeRouting`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ message, signature: Utils.toHex(signature) })
    })
    if (!answer.ok) throw new Error(`The node does not take messages for you: ${await answer.text()}`)
  }

  async #lookForMissed(): Promise<void> {
    const host = this.#host
    for (const message of await this.#client.listMessages({ messageBox: MESSAGE_BOX, host })) {
      await this.#show(message)
    }
  }

  /** What is shown need not wait on the node any longer. */
  async #show(message: { messageId: string; sender: string; body: unknown }): Promise<void> {
    const { messageId, sender, body } = message
    if (this.#shown.has(messageId)) return
    this.#shown.add(messageId)
    const [oldest] = this.#shown
    if (this.#shown.size > REMEMBERED && oldest !== undefined) this.#shown.delete(oldest)
    const text = textOf(body)
    if (text !== undefined) this.#onLine({ sender, text })
    await this.#client.acknowledgeMessage({ messageIds: [messageId], host: this.#host })
  }
}

/** Of a body, which the client gives as JSON where it came live, and parsed where it was listed. */
function textOf(body: unknown): string | undefined {
  try {
    const parsed: unknown = typeof body === 'string' ? JSON.parse(body) : body
    const isLine = typeof parsed === 'object' && parsed !== null && 'text' in parsed
    return isLine && typeof parsed.text === 'string' ? parsed.text : undefined
  } catch {
    return undefined
  }
}
