import { Beef as LibraryBeef, LockingScript, MerklePath, Transaction, UnlockingScript } from '@bsv/sdk'
import { expect } from 'chai'
import fc from 'fast-check'
import { parseLookupAnswer } from '../../federation/overlay/lookup-answer.js'
import { parsePhipQuery } from '../../federation/overlay/phip-query.js'
import { ApiError } from '../../src/errors.js'
import { type Beef, parseBeef, parseBump, writeBeef } from '../../src/transactions/beef.js'
import { MalformedError } from '../../src/transactions/byte-reader.js'
import { parseTransaction } from '../../src/transactions/transaction.js'
import { parseTxidOnlyBeef, txidOnlyBeef } from '../../src/transactions/txid-only-beef.js'
import { boundVerification } from '../../src/transactions/verification-cost.js'
import {
  answerOrRefusal,
  anyJson,
  describeFuzz,
  inputs,
  mutatedBytes,
  mutatedJson,
  timely
} from '../support/fuzz.js'
import { curve, operator, recipient, tokenScript } from '../support/phip-token-builder.js'

const anyone = LockingScript.fromHex('51')
const token = LockingScript.fromBinary([...tokenScript({})])

function mined(nonce: number): Transaction {
  const transaction = new Transaction(1, [], [{ lockingScript: anyone, satoshis: 10 }], nonce)
  const leaf = { offset: 0, hash: transaction.id('hex'), txid: true }
  transaction.merklePath = new MerklePath(nonce, [[leaf]])
  return transaction
}

function spending(sources: readonly Transaction[]): Transaction {
  const inputs = sources.map(sourceTransaction => ({
    sourceTransaction,
    sourceTXID: sourceTransaction.id('hex'),
    sourceOutputIndex: 0,
    unlockingScript: new UnlockingScript(),
    sequence: 0xffffffff
  }))
  return new Transaction(1, inputs, [
    { lockingScript: anyone, satoshis: 1 },
    { lockingScript: token, satoshis: 1 }
  ])
}

const [first, second] = [mined(1), mined(2)]
const child = spending([first, second])
const grandchild = spending([child])
const beefs = [first, child, grandchild].flatMap(transaction => [
  Buffer.from(transaction.toBEEF()),
  Buffer.from(transaction.toAtomicBEEF())
])

/** What the parser answers; undefined for what it refuses, with its own error. */
function read<T>(parse: () => T): T | undefined {
  try {
    return timely(parse)
  } catch (error) {
    if (error instanceof MalformedError || (error instanceof ApiError && error.httpStatus === 400))
      return undefined
    throw error
  }
}

describeFuzz('fuzz: BEEF', () => {
  const bytes = fc.oneof(
    { weight: 5, arbitrary: mutatedBytes(fc.constantFrom(...beefs)) },
    {
      weight: 1,
      arbitrary: fc
        .uint8Array({ maxLength: 120 })
        .map(rest => Buffer.concat([Buffer.from('0100beef', 'hex'), rest]))
    },
    {
      weight: 1,
      arbitrary: fc
        .uint8Array({ maxLength: 120 })
        .map(rest => Buffer.concat([Buffer.from('0200beef', 'hex'), rest]))
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }).map(rest => Buffer.from(rest)) }
  )

  it('is read as @bsv/sdk reads it, or refused', () => {
    for (const beef of beefs) expect(parseBeef(beef).transactions).to.not.have.length(0)
    fc.assert(
      fc.property(bytes, input => {
        const beef = read(() => parseBeef(input))
        if (beef === undefined) return
        const library = LibraryBeef.fromBinary([...input])
        expect(library.txs.map(({ txid }) => txid)).to.deep.equal(beef.transactions.map(({ txid }) => txid))
        for (const { txid, bytes, proof } of beef.transactions) {
          const found = library.findTxid(txid)!
          expect(found.rawTx ?? found.tx?.toBinary()).to.deep.equal([...bytes])
          // What no index says, the library looks for when it merges.
          const isNamed = library.bumps.some(bump => bump.path[0]!.some(leaf => leaf.hash === txid))
          expect(isNamed).to.equal(proof !== undefined)
          if (found.bumpIndex !== undefined) expect(isNamed).to.equal(true)
        }
        expectBounded(beef)
      }),
      inputs()
    )
  })

  function expectBounded(beef: Beef): void {
    expect(txidsOf(parseBeef(writeBeef(beef.transactions)))).to.deep.equal(txidsOf(beef))
    read(() => boundVerification(beef, () => true))
  }

  function txidsOf({ transactions }: Beef): string[] {
    return transactions.map(({ txid }) => txid)
  }

  it('has transactions that are read as @bsv/sdk reads them, or refused', () => {
    const raw = [first, child, grandchild].map(transaction => Buffer.from(transaction.toBinary()))
    fc.assert(
      fc.property(
        fc.oneof(mutatedBytes(fc.constantFrom(...raw)), fc.uint8Array({ maxLength: 80 })),
        input => {
          const transaction = read(() => parseTransaction(input))
          if (transaction === undefined) return
          const library = Transaction.fromBinary([...input])
          expect(library.id('hex')).to.equal(transaction.txid)
          expect(
            library.inputs.map(({ sourceTXID, sourceOutputIndex }) => `${sourceTXID}.${sourceOutputIndex}`)
          ).to.deep.equal(
            transaction.inputs.map(
              ({ sourceTxid, sourceOutputIndex }) => `${sourceTxid}.${sourceOutputIndex}`
            )
          )
          expect(library.outputs.length).to.equal(transaction.outputs.length)
        }
      ),
      inputs()
    )
  })

  it('has proofs that are read, or refused', () => {
    const bumps = [first, second].map(({ merklePath }) => Buffer.from(merklePath!.toBinary()))
    fc.assert(
      fc.property(
        fc.oneof(mutatedBytes(fc.constantFrom(...bumps)), fc.uint8Array({ maxLength: 80 })),
        input => {
          const bump = read(() => parseBump(input))
          if (bump !== undefined) expect(Buffer.from(bump.bytes).equals(input)).to.equal(true)
        }
      ),
      inputs()
    )
  })

  it('may be an id and nothing else', () => {
    const only = txidOnlyBeef(child.id('hex'))
    fc.assert(
      fc.property(fc.oneof(mutatedBytes(fc.constant(only)), bytes), input => {
        const txid = read(() => parseTxidOnlyBeef(input))
        if (txid !== undefined) expect(txidOnlyBeef(txid).equals(input)).to.equal(true)
      }),
      inputs()
    )
  })
})

describeFuzz('fuzz: answers and questions of lookups', () => {
  const answer = {
    type: 'output-list',
    outputs: [
      { beef: [...beefs[0]!], outputIndex: 0 },
      { beef: [1], outputIndex: 7 }
    ]
  }
  const query = {
    operator: operator.identityKey,
    outpoints: [`${'0'.repeat(64)}.1`],
    recipient: recipient.identityKey
  }

  it('are lists of outputs that have bytes and an index, or none', () => {
    fc.assert(
      fc.property(fc.oneof(mutatedJson(fc.constant(answer)), anyJson()), value => {
        const outputs = timely(() => parseLookupAnswer(value))
        for (const { beef, outputIndex } of outputs ?? []) {
          expect(beef).to.be.instanceOf(Uint8Array)
          expect(Number.isSafeInteger(outputIndex) && outputIndex >= 0).to.equal(true)
        }
      }),
      inputs()
    )
  })

  it('are asked for one key, or refused with a reason', () => {
    fc.assert(
      fc.property(fc.oneof(mutatedJson(fc.constant(query)), anyJson()), value => {
        const parsed = answerOrRefusal(() => parsePhipQuery(curve, value))
        if ('refusal' in parsed)
          expect(parsed.refusal).to.include({ httpStatus: 400, code: 'ERR_INVALID_QUERY' })
      }),
      inputs()
    )
  })
})
