import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  CompletedProtoWallet,
  type CreateActionArgs,
  type CreateActionResult,
  type InternalizeActionArgs,
  type InternalizeActionResult,
  LockingScript,
  MerklePath,
  P2PKH,
  PrivateKey,
  PublicKey,
  Transaction
} from '@bsv/sdk'
import type { TestUser } from './client.js'

/** Coins of a made-up block; each pays a key of the wallet. */
const COIN = 1_000_000

/**
 * A BRC-100 wallet with real keys, scripts and signatures, and coins out of nothing: the transactions that it makes spend an
 * output of a made-up block, so everything of them but that block can be verified.
 */
export class PayingWallet extends CompletedProtoWallet {
  /** What it made, ids as they are shown. */
  readonly made: string[] = []
  /** `txid.index` and satoshis of what it was paid, each once. */
  readonly taken = new Map<string, number>()
  /** Calls of internalizeAction, also repeats. */
  internalized = 0
  /** Thrown by internalizeAction until it is undefined. */
  fault: Error | undefined
  readonly #key: PrivateKey

  constructor(user: TestUser) {
    const key = PrivateKey.fromHex(user.privateKey.toString('hex'))
    super(key)
    this.#key = key
  }

  override async createAction(
    { outputs = [] }: CreateActionArgs = { description: '' }
  ): Promise<CreateActionResult> {
    const transaction = this.coinSpender()
    for (const { lockingScript, satoshis } of outputs) {
      transaction.addOutput({ lockingScript: LockingScript.fromHex(lockingScript), satoshis })
    }
    await transaction.sign()
    this.made.push(transaction.id('hex'))
    return { txid: transaction.id('hex'), tx: transaction.toAtomicBEEF() }
  }

  /** A transaction that spends a coin, and has no outputs yet. */
  coinSpender(): Transaction {
    const coin = new Transaction(1)
    coin.addOutput({
      lockingScript: LockingScript.fromBinary([16, ...randomBytes(16), 0x75, 0x51]),
      satoshis: 1
    })
    coin.addOutput({ lockingScript: new P2PKH().lock(this.#key.toAddress()), satoshis: COIN })
    const txid = coin.id('hex')
    const height = Number.parseInt(txid.slice(0, 6), 16)
    coin.merklePath = new MerklePath(height, [[{ offset: 0, hash: txid, txid: true }]])
    const transaction = new Transaction(1)
    transaction.addInput({
      sourceTransaction: coin,
      sourceOutputIndex: 1,
      unlockingScriptTemplate: new P2PKH().unlock(this.#key),
      sequence: 0xffffffff
    })
    return transaction
  }

  override async internalizeAction(
    { tx, outputs }: InternalizeActionArgs = { tx: [], outputs: [], description: '' }
  ): Promise<InternalizeActionResult> {
    this.internalized++
    if (this.fault !== undefined) throw this.fault
    const transaction = Transaction.fromAtomicBEEF(Array.from(tx))
    if ((await transaction.verify('scripts only')) !== true)
      throw new Error('the transaction does not verify')
    for (const { outputIndex, paymentRemittance } of outputs) {
      const { derivationPrefix, derivationSuffix, senderIdentityKey } = paymentRemittance!
      const { publicKey } = await this.getPublicKey({
        protocolID: [2, '3241645161d8'],
        keyID: `${derivationPrefix} ${derivationSuffix}`,
        counterparty: senderIdentityKey,
        forSelf: true
      })
      const output = transaction.outputs[outputIndex]
      const script = new P2PKH().lock(PublicKey.fromString(publicKey).toAddress()).toHex()
      if (output?.lockingScript.toHex() !== script) throw new Error('the output does not pay this wallet')
      this.taken.set(`${transaction.id('hex')}.${outputIndex}`, output.satoshis ?? 0)
    }
    return { accepted: true }
  }
}

/** The same wallet over HTTP, as nodes ask theirs. */
export interface WalletServer {
  readonly url: string
  readonly wallet: PayingWallet
  stop(): Promise<void>
}

export async function startWalletServer(user: TestUser): Promise<WalletServer> {
  const wallet = new PayingWallet(user)
  const server: Server = createServer((request, response) => {
    void (async () => {
      const pieces: Buffer[] = []
      for await (const piece of request) pieces.push(piece as Buffer)
      const args = JSON.parse(Buffer.concat(pieces).toString())
      const answer = (status: number, body: object) =>
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      try {
        if (request.url === '/internalizeAction') answer(200, await wallet.internalizeAction(args))
        else if (request.url === '/getPublicKey') answer(200, await wallet.getPublicKey(args))
        else answer(404, { message: 'no such call' })
      } catch (error) {
        answer(500, { message: error instanceof Error ? error.message : 'failed' })
      }
    })()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    wallet,
    async stop() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  }
}
