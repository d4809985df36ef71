import { randomBytes } from 'node:crypto'
import {
  Beef,
  CompletedProtoWallet,
  type CreateActionArgs,
  type CreateActionResult,
  type ListOutputsArgs,
  type ListOutputsResult,
  LockingScript,
  MerklePath,
  PrivateKey,
  type SignActionArgs,
  type SignActionResult,
  Transaction,
  UnlockingScript
} from '@bsv/sdk'
import type { TestUser } from './client.js'

/** A wallet of @bsv/sdk whose coins come out of nothing, as on network `local`: what it pays for is real otherwise. */
export class MadeUpWallet extends CompletedProtoWallet {
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
  const coin = new Transaction(1, [], [{ satoshis: 1000, lockingScript }])
  const txid = coin.id('hex')
  coin.merklePath = new MerklePath(Number.parseInt(txid.slice(0, 6), 16), [
    [{ offset: 0, hash: txid, txid: true }]
  ])
  return coin
}
