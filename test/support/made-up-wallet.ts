import { randomBytes } from 'node:crypto'
import {
  Beef,
  CompletedProtoWallet,
  type CreateActionArgs,
  type CreateActionResult,
  type InternalizeActionArgs,
  type InternalizeActionResult,
  type ListOutputsArgs,
  type ListOutputsResult,
  LockingScript,
  MerklePath,
  P2PKH,
  PrivateKey,
  PublicKey,
  type SignActionArgs,
  type SignActionResult,
  Transaction,
  UnlockingScript
} from '@bsv/sdk'
import type { TestUser } from './client.js'

/** A wallet of @bsv/sdk whose coins come out of nothing, as on network `local`: what it pays for is real otherwise. */
export class MadeUpWallet extends CompletedProtoWallet {
  /** Satoshis of payments taken. */
  received = 0
  readonly #pending = new Map<
    string,
    { transaction: Transaction; baskets: readonly (string | undefined)[] }
  >()
  /** Outpoints of outputs kept in baskets, and not spent by this wallet. */
  readonly #kept = new Map<string, { readonly basket: string; readonly satoshis: number }>()

  constructor(user: TestUser) {
    super(PrivateKey.fromHex(user.privateKey.toString('hex')))
  }

  override async createAction(args: CreateActionArgs = { description: '' }): Promise<CreateActionResult> {
    const { inputs = [], outputs = [], inputBEEF = [] } = args
    const transaction = new Transaction()
    for (const { outpoint } of inputs) {
      const [txid = '', index] = outpoint.split('.')
      const sourceTransaction = Beef.fromBinary([...inputBEEF]).findAtomicTransaction(txid)
      if (sourceTransaction === undefined) throw new Error(`the BEEF does not hold ${txid}`)
      const unlockingScript = new UnlockingScript()
      transaction.addInput({ sourceTransaction, sourceOutputIndex: Number(index), unlockingScript })
    }
    transaction.addInput({
      sourceTransaction: madeUpCoin(),
      sourceOutputIndex: 0,
      unlockingScript: new UnlockingScript()
    })
    for (const { satoshis, lockingScript } of outputs) {
      transaction.addOutput({ satoshis, lockingScript: LockingScript.fromHex(lockingScript) })
    }
    if (outputs.length === 0)
      transaction.addOutput({ satoshis: 1, lockingScript: LockingScript.fromHex('51') })
    const made = { transaction, baskets: outputs.map(({ basket }) => basket) }
    if (inputs.length === 0) return this.#finish(made)
    const reference = randomBytes(8).toString('base64')
    this.#pending.set(reference, made)
    return { signableTransaction: { tx: transaction.toAtomicBEEF(), reference } }
  }

  override async signAction(
    { reference, spends }: SignActionArgs = { reference: '', spends: {} }
  ): Promise<SignActionResult> {
    const made = this.#pending.get(reference)
    if (made === undefined) throw new Error('nothing to be signed has this reference')
    for (const [index, { unlockingScript }] of Object.entries(spends)) {
      const input = made.transaction.inputs[Number(index)]!
      input.unlockingScript = UnlockingScript.fromHex(unlockingScript)
      this.#kept.delete(`${input.sourceTransaction?.id('hex')}.${input.sourceOutputIndex}`)
    }
    // The library keeps the bytes that it has written once.
    const { version, inputs, outputs, lockTime } = made.transaction
    return this.#finish({ ...made, transaction: new Transaction(version, inputs, outputs, lockTime) })
  }

  override async listOutputs({ basket }: ListOutputsArgs = { basket: '' }): Promise<ListOutputsResult> {
    const outputs = [...this.#kept]
      .filter(([, kept]) => kept.basket === basket)
      .map(([outpoint, { satoshis }]) => ({ outpoint, satoshis, spendable: true as const }))
    return { totalOutputs: outputs.length, outputs }
  }

  /** Takes payments, each of which must be to a key of this wallet (BRC-29). */
  override async internalizeAction(
    { tx, outputs }: InternalizeActionArgs = { tx: [], outputs: [], description: '' }
  ): Promise<InternalizeActionResult> {
    const transaction = Transaction.fromAtomicBEEF([...tx])
    if (!(await transaction.verify('scripts only'))) throw new Error('the payment does not verify')
    for (const { outputIndex, paymentRemittance } of outputs) {
      const { derivationPrefix, derivationSuffix, senderIdentityKey } = paymentRemittance!
      const { publicKey } = await this.getPublicKey({
        protocolID: [2, '3241645161d8'],
        keyID: `${derivationPrefix} ${derivationSuffix}`,
        counterparty: senderIdentityKey,
        forSelf: true
      })
      const { lockingScript, satoshis } = transaction.outputs[outputIndex]!
      const own = new P2PKH().lock(PublicKey.fromString(publicKey).toAddress())
      if (own.toHex() !== lockingScript.toHex()) throw new Error('the output pays somebody else')
      this.received += satoshis ?? 0
    }
    return { accepted: true }
  }

  #finish({ transaction, baskets }: { transaction: Transaction; baskets: readonly (string | undefined)[] }) {
    const txid = transaction.id('hex')
    baskets.forEach((basket, index) => {
      const satoshis = transaction.outputs[index]!.satoshis ?? 0
      if (basket !== undefined) this.#kept.set(`${txid}.${index}`, { basket, satoshis })
    })
    return { txid, tx: transaction.toAtomicBEEF() }
  }
}

/** Anybody can spend it, and it claims to be the only transaction of a block. */
function madeUpCoin(): Transaction {
  const lockingScript = LockingScript.fromBinary([16, ...randomBytes(16), 0x75, 0x51])
  const coin = new Transaction(1, [], [{ satoshis: 1e8, lockingScript }])
  const txid = coin.id('hex')
  coin.merklePath = new MerklePath(Number.parseInt(txid.slice(0, 6), 16), [
    [{ offset: 0, hash: txid, txid: true }]
  ])
  return coin
}
