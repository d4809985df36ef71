import type { Context } from '../../src/context.js'
import type { IdentityKey } from '../../src/keys/identity-key.js'
import type { Origin } from '../origin/proof.js'

/** A recipient of a message whose origin is proven, and by what. */
interface Proven {
  readonly recipient: IdentityKey
  readonly verdict: { readonly origin: Origin }
}

/** What one request of a host has counted of the rate of pairs. */
export class Handovers<Recipient extends Proven> {
  /** May be handed over now. */
  readonly counted: Recipient[] = []
  /** May not; with the seconds after which they may. */
  readonly refused: { readonly recipient: IdentityKey; readonly retryAfter: number }[] = []
  readonly #rates: Context['rates']
  readonly #host: IdentityKey
  readonly #sender: IdentityKey

  /**
   * Counts a message for each of these recipients.
   *
   * @param host the one that hands it on
   */
  static async count<Recipient extends Proven>(
    rates: Context['rates'],
    host: IdentityKey,
    sender: IdentityKey,
    recipients: readonly Recipient[]
  ): Promise<Handovers<Recipient>> {
    const handovers = new Handovers<Recipient>(rates, host, sender)
    for (const recipient of recipients) await handovers.#add(recipient)
    return handovers
  }

  private constructor(rates: Context['rates'], host: IdentityKey, sender: IdentityKey) {
    this.#rates = rates
    this.#host = host
    this.#sender = sender
  }

  /** Only what is new counts: else whoever holds a message of the sender could hand it on until nothing else may come. */
  undoAllBut(stored: ReadonlySet<IdentityKey>): void {
    for (const recipient of this.counted) {
      if (!stored.has(recipient.recipient))
        this.#rates.undoSends(this.#payer(recipient), [recipient.recipient])
    }
  }

  async #add(recipient: Recipient): Promise<void> {
    const retryAfter = await this.#rates.handover(this.#payer(recipient), recipient.recipient)
    if (retryAfter === 0) this.counted.push(recipient)
    else this.refused.push({ recipient: recipient.recipient, retryAfter })
  }

  /** Nothing proves who sent a sealed message, so it spends only what its stated sender may send through this host. */
  #payer({ verdict }: Recipient): string {
    return verdict.origin === 'sealed' ? `${this.#host} ${this.#sender}` : this.#sender
  }
}
