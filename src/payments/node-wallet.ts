import { HTTPWalletJSON, type WalletInterface } from '@bsv/sdk'
import type { IdentityKey } from '../keys/identity-key.js'
import { StartError } from '../start-error.js'
import type { ChainTracker } from '../transactions/chain.js'

/** What the node asks of its wallet (BRC-100). */
export type Wallet = Pick<
  WalletInterface,
  'getPublicKey' | 'internalizeAction' | 'getHeight' | 'getHeaderForHeight'
>

/** An output that pays this node. */
export interface NodePayment {
  /** As it is shown. */
  readonly txid: string
  readonly outputIndex: number
  /** Atomic. */
  readonly beef: Uint8Array
  readonly derivationPrefix: string
  readonly derivationSuffix: string
  readonly payer: IdentityKey
  /** The call that it was paid for. */
  readonly purpose: string
}

const CALL_MILLISECONDS = 15_000
/** Wallets show it to their owner as the one who asks. */
const ORIGINATOR = 'peerserv.local'

/** The wallet at an address of the operator's, JSON over HTTP as BRC-100 wallets offer it. */
export function walletAt(url: string): Wallet {
  const http: typeof fetch = (input, init) =>
    fetch(input, { ...init, signal: AbortSignal.timeout(CALL_MILLISECONDS) })
  return new HTTPWalletJSON(ORIGINATOR, url.replace(/\/+$/, ''), http)
}

/** The wallet into which the node puts what it is paid. It must hold the node's own key: that is what clients pay. */
export class NodeWallet {
  readonly #wallet: Wallet
  readonly #identityKey: IdentityKey
  #isOwn = false

  constructor(wallet: Wallet, identityKey: IdentityKey) {
    this.#wallet = wallet
    this.#identityKey = identityKey
  }

  /** @throws StartError if it is another one's; whatever the wallet throws */
  async requireOwn(): Promise<void> {
    if (this.#isOwn) return
    const { publicKey } = await this.#wallet.getPublicKey({ identityKey: true })
    if (publicKey !== this.#identityKey) {
      throw new StartError(
        `WALLET_URL: this wallet has the key ${publicKey.slice(0, 66)}, and clients pay ${this.#identityKey}, this node's. Give the wallet the node's key.`
      )
    }
    this.#isOwn = true
  }

  /** Takes an output (BRC-29 `wallet payment`); again without harm. @throws whatever the wallet throws */
  async take({ beef, outputIndex, payer, purpose, ...remittance }: NodePayment): Promise<void> {
    await this.requireOwn()
    const { derivationPrefix, derivationSuffix } = remittance
    const { accepted } = await this.#wallet.internalizeAction({
      tx: Array.from(beef),
      outputs: [
        {
          outputIndex,
          protocol: 'wallet payment',
          paymentRemittance: { derivationPrefix, derivationSuffix, senderIdentityKey: payer }
        }
      ],
      description: `Paid for ${purpose}`.slice(0, 50),
      labels: ['peerserv']
    })
    if (accepted !== true) throw new Error('the wallet did not accept the payment')
  }

  /** The chain as the wallet knows it. */
  get chainTracker(): ChainTracker {
    return {
      currentHeight: async () => (await this.#wallet.getHeight({})).height,
      isValidRootForHeight: async (root, height) => {
        const { header } = await this.#wallet.getHeaderForHeight({ height })
        return rootOfHeader(header) === root
      }
    }
  }
}

/** The Merkle root in a block header, as it is shown. */
function rootOfHeader(header: string): string {
  return Buffer.from(header, 'hex').subarray(36, 68).reverse().toString('hex')
}
