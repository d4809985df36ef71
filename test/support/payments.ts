import { randomBytes } from 'node:crypto'
import { type LockingScript, P2PKH, ProtoWallet, PublicKey } from '@bsv/sdk'
import type { PayingWallet } from './paying-wallet.js'

/** An output that a payment shall have. */
export interface Due {
  /** Hexadecimal. */
  readonly payee: string
  readonly satoshis: number
  /** Derived as stock clients do for recipients; otherwise with the payer's key. */
  readonly forAnyone: boolean
}

/** The `payment` of a request, as @bsv/message-box-client makes it. */
export async function makePayment(wallet: PayingWallet, dues: readonly Due[], description = 'a payment') {
  const anyone = new ProtoWallet('anyone')
  const transaction = wallet.coinSpender()
  const outputs: object[] = []
  for (const [outputIndex, { payee, satoshis, forAnyone }] of dues.entries()) {
    const derivationPrefix = randomBytes(32).toString('base64')
    const derivationSuffix = randomBytes(32).toString('base64')
    const payer = forAnyone ? anyone : wallet
    const keyID = `${derivationPrefix} ${derivationSuffix}`
    transaction.addOutput({ lockingScript: await payTo(payer, payee, keyID), satoshis })
    const { publicKey: senderIdentityKey } = await payer.getPublicKey({ identityKey: true })
    const paymentRemittance = { derivationPrefix, derivationSuffix, senderIdentityKey }
    outputs.push({ outputIndex, protocol: 'wallet payment', paymentRemittance })
  }
  await transaction.sign()
  return { tx: transaction.toAtomicBEEF(), outputs, description }
}

/** P2PKH to the key of BRC-29 that one derives for the other. */
export async function payTo(
  payer: Pick<ProtoWallet, 'getPublicKey'>,
  payee: string,
  keyID: string
): Promise<LockingScript> {
  const { publicKey } = await payer.getPublicKey({
    protocolID: [2, '3241645161d8'],
    keyID,
    counterparty: payee
  })
  return new P2PKH().lock(PublicKey.fromString(publicKey).toAddress())
}

/** The `x-bsv-payment` header of BRC-105. */
export async function paymentHeader(
  wallet: PayingWallet,
  nodeKey: string,
  derivationPrefix: string,
  satoshis: number
): Promise<string> {
  const derivationSuffix = randomBytes(32).toString('base64')
  const transaction = wallet.coinSpender()
  const lockingScript = await payTo(wallet, nodeKey, `${derivationPrefix} ${derivationSuffix}`)
  transaction.addOutput({ lockingScript, satoshis })
  await transaction.sign()
  const beef = Buffer.from(transaction.toAtomicBEEF()).toString('base64')
  return JSON.stringify({ derivationPrefix, derivationSuffix, transaction: beef })
}
