import {
  Beef as LibraryBeef,
  LockingScript,
  MerklePath,
  P2PKH,
  PrivateKey,
  Transaction,
  UnlockingScript
} from '@bsv/sdk'
import { expect } from 'chai'
import { type Beef, extractBeef, mergeBeefs, parseBeef, writeBeef } from '../../src/transactions/beef.js'
import { MalformedError } from '../../src/transactions/byte-reader.js'
import { askChain, readAsLibrary, requireMadeUpProofs } from '../../src/transactions/chain.js'
import { parseTransaction } from '../../src/transactions/transaction.js'
import { parseTxidOnlyBeef, txidOnlyBeef } from '../../src/transactions/txid-only-beef.js'
import { boundVerification } from '../../src/transactions/verification-cost.js'
import { vector } from '../support/vectors.js'

const key = new PrivateKey(7)
const toKey = new P2PKH().lock(key.toAddress())
const anyone = LockingScript.fromHex('51')

/** A transaction that claims to be alone in a block. */
function mined(nonce: number, scripts: readonly LockingScript[] = [toKey]): Transaction {
  const transaction = new Transaction(
    1,
    [],
    scripts.map(lockingScript => ({ lockingScript, satoshis: 10 })),
    nonce
  )
  transaction.merklePath = alone(transaction, nonce)
  return transaction
}

function alone(transaction: Transaction, height = 1): MerklePath {
  return new MerklePath(height, [[{ offset: 0, hash: transaction.id('hex'), txid: true }]])
}

function spending(sources: readonly Transaction[], outputs = [toKey], index = 0): Transaction {
  const inputs = sources.map(sourceTransaction => ({
    sourceTransaction,
    sourceTXID: sourceTransaction.id('hex'),
    sourceOutputIndex: index,
    unlockingScript: new UnlockingScript(),
    sequence: 0xffffffff
  }))
  return new Transaction(
    1,
    inputs,
    outputs.map(lockingScript => ({ lockingScript, satoshis: 1 }))
  )
}

function bytesOf(transaction: Transaction): Uint8Array {
  return Uint8Array.from(transaction.toBEEF())
}

function txidsOf({ transactions }: Beef): string[] {
  return transactions.map(({ txid }) => txid)
}

describe('BEEF', () => {
  const source = mined(1)
  const child = spending([source])
  const grandchild = spending([child, mined(2)])

  describe('is read as @bsv/sdk reads it', () => {
    for (const [form, bytes] of [
      ['version 1', grandchild.toBEEF()],
      [
        'version 2',
        (() => {
          const beef = new LibraryBeef()
          beef.mergeTransaction(grandchild)
          return beef.toBinary()
        })()
      ],
      ['atomic', grandchild.toAtomicBEEF()]
    ] as const) {
      it(form, () => {
        const beef = parseBeef(Uint8Array.from(bytes))
        const library = LibraryBeef.fromBinary([...bytes])
        expect(txidsOf(beef)).to.deep.equal(library.txs.map(({ txid }) => txid))
        expect(beef.subject.txid).to.equal(grandchild.id('hex'))
        expect(beef.transactions.map(({ proof }) => proof?.blockHeight)).to.have.members([
          1,
          undefined,
          2,
          undefined
        ])
      })
    }

    it('in every mutation that it takes at all', () => {
      const original = bytesOf(grandchild)
      let taken = 0
      let random = 12345
      const next = (below: number): number => {
        random = (random * 1103515245 + 12345) % 2147483648
        return random % below
      }
      for (let round = 0; round < 4_000; round++) {
        const mutated = Uint8Array.from(original)
        for (let changes = 1 + next(3); changes > 0; changes--) mutated[next(mutated.length)] = next(256)
        const beef = tryParse(mutated)
        if (beef === undefined) continue
        taken++
        const library = LibraryBeef.fromBinary(mutated)
        expect(library.txs.map(({ txid }) => txid)).to.deep.equal(txidsOf(beef))
        for (const { txid, proof } of beef.transactions) {
          expect(library.findBump(txid) !== undefined).to.equal(proof !== undefined)
        }
      }
      expect(taken).to.be.greaterThan(100)
    })
  })

  it('takes the subject that BRC-95 names, not the last transaction', () => {
    const atomic = Uint8Array.from(child.toAtomicBEEF())
    const both = writeBeef(parseBeef(bytesOf(grandchild)).transactions)
    const beef = parseBeef(Buffer.concat([atomic.subarray(0, 36), both]))
    expect(beef.subject.txid).to.equal(child.id('hex'))
  })

  it('reads the published submission', () => {
    const { plain, txid } = vector('submit-body')
    const beef = parseBeef(Buffer.from(plain, 'hex'))
    expect(beef.subject.txid).to.equal(txid)
    // Its funding is a coinbase transaction that nobody mined.
    requireMadeUpProofs(beef)
    bound(beef)
  })

  it('extracts one transaction with its ancestors, and merges without repeating', () => {
    const beef = parseBeef(bytesOf(grandchild))
    const extracted = parseBeef(
      extractBeef(beef, beef.transactions.find(({ txid }) => txid === child.id('hex'))!)
    )
    expect(txidsOf(extracted)).to.deep.equal([source.id('hex'), child.id('hex')])
    const merged = parseBeef(mergeBeefs([extracted, beef]))
    expect(txidsOf(merged)).to.have.lengthOf(4)
    expect(merged.subject.txid).to.equal(grandchild.id('hex'))
    expect(Transaction.fromBEEF([...mergeBeefs([extracted, beef])]).id('hex')).to.equal(grandchild.id('hex'))
  })

  it('names a transaction by its id alone, as BRC-96 has it', () => {
    const txid = child.id('hex')
    expect(parseTxidOnlyBeef(txidOnlyBeef(txid))).to.equal(txid)
    expect(
      LibraryBeef.fromBinary([...txidOnlyBeef(txid)]).txs.map(tx => [tx.txid, tx.isTxidOnly])
    ).to.deep.equal([[txid, true]])
    expect(parseTxidOnlyBeef(bytesOf(child))).to.equal(undefined)
  })

  describe('refuses', () => {
    const whole = bytesOf(grandchild)
    const refusals: Record<string, () => Uint8Array> = {
      nothing: () => Buffer.alloc(0),
      'something else': () => Buffer.from('this is not BEEF at all'),
      'an end that is cut off': () => whole.subarray(0, -1),
      'data behind the end': () => Buffer.concat([whole, Buffer.of(0)]),
      'a count that nothing backs': () => Buffer.from('0100beef00ff00000000000010000', 'hex'),
      'inputs that nothing backs': () => Buffer.from('0100beef000101000000feffffff7f', 'hex'),
      'a number in more bytes than it needs': () => Buffer.from('0100beeffd0000fd0100', 'hex'),
      'a transaction that stands twice': () => {
        const { transactions } = parseBeef(whole)
        return writeBeef([...transactions, transactions.at(-1)!])
      },
      'a source that is missing': () => writeBeef(parseBeef(whole).transactions.slice(1)),
      'a source that comes too late': () => writeBeef(parseBeef(whole).transactions.toReversed()),
      'an input that spends no output': () => bytesOf(spending([source], [toKey], 5)),
      'a coin out of nothing without a claim of a block': () =>
        writeBeef([{ bytes: Uint8Array.from(mined(3).toBinary()), proof: undefined }]),
      'a transaction that is not in the BUMP it names': () => {
        // The subject is unproven and ends the BEEF: now it says that the first BUMP proves it.
        return Buffer.concat([whole.subarray(0, -1), Buffer.of(1, 0)])
      },
      'an id without its transaction': () => txidOnlyBeef(source.id('hex')),
      'an atomic BEEF of another transaction': () =>
        Buffer.concat([Uint8Array.from(mined(9).toAtomicBEEF()).subarray(0, 36), whole]),
      'too many transactions': () =>
        writeBeef(Array.from({ length: 129 }, (_, nonce) => parseOne(mined(nonce)))),
      'more satoshis than there are': () => {
        const rich = mined(4)
        rich.outputs[0]!.satoshis = 2 ** 52
        rich.merklePath = alone(new Transaction(1, [], rich.outputs, 4))
        return bytesOf(new Transaction(1, [], rich.outputs, 4, undefined, rich.merklePath))
      }
    }
    for (const [what, make] of Object.entries(refusals)) {
      it(what, () => {
        expect(() => parseBeef(make())).to.throw(MalformedError)
      })
    }
  })

  describe('bounds what verification may cost', () => {
    it('takes payments to keys', () => {
      bound(parseBeef(bytesOf(grandchild)))
    })

    it('refuses diamonds, whose ways double with every transaction', () => {
      let tip = mined(1, [anyone, anyone])
      for (let depth = 0; depth < 40; depth++) {
        const inputs = [0, 1].map(sourceOutputIndex => ({
          sourceTransaction: tip,
          sourceOutputIndex,
          unlockingScript: new UnlockingScript(),
          sequence: 0xffffffff
        }))
        tip = new Transaction(
          1,
          inputs,
          [anyone, anyone].map(lockingScript => ({ lockingScript, satoshis: 1 }))
        )
      }
      // The bytes are made by hand: @bsv/sdk would never be done with parsing them.
      expect(() => bound(parseBeef(bytesOf(tip)))).to.throw(MalformedError, 'ways')
    })

    it('refuses opcodes that loops and large numbers are made of', () => {
      for (const opcode of ['63', '7e', '80', '95', 'ae', 'ab', 'b3']) {
        const script = LockingScript.fromHex(`51${opcode}`)
        const beef = parseBeef(bytesOf(spending([mined(1, [script])])))
        expect(() => bound(beef), opcode).to.throw(MalformedError, 'opcode')
      }
    })

    it('sees through pushes: their data is not run', () => {
      const pushed = LockingScript.fromHex('027e957551')
      bound(parseBeef(bytesOf(spending([mined(1, [pushed])]))))
    })

    it('refuses a thousand signatures in one script, and long scripts', () => {
      const many = LockingScript.fromHex('ac'.repeat(1_000))
      const long = LockingScript.fromHex(`4e10270000${'00'.repeat(10_000)}`)
      for (const script of [many, long]) {
        const beef = parseBeef(bytesOf(spending([mined(1, [script])])))
        expect(() => bound(beef)).to.throw(MalformedError)
      }
    })

    it('refuses large unproven transactions, which every signature hashes again', () => {
      const large = LockingScript.fromHex(`006a4ea0860100${'00'.repeat(100_000)}`)
      const beef = parseBeef(bytesOf(spending([mined(1)], [large])))
      expect(() => bound(beef)).to.throw(MalformedError, 'bytes')
    })

    it('counts ancestors again for each descendant that is judged with them', () => {
      let tip = mined(1)
      for (let depth = 0; depth < 20; depth++) tip = spending([tip])
      const beef = parseBeef(bytesOf(tip))
      boundVerification(beef, transaction => transaction === beef.subject)
      expect(() => boundVerification(beef, () => true)).to.throw(MalformedError, 'signatures')
    })

    it('does not mind what stands in scripts of mined ancestors', () => {
      const strange = mined(1, [toKey, LockingScript.fromHex('7e95ae')])
      bound(parseBeef(bytesOf(spending([strange]))))
    })
  })

  describe('and Merkle paths', () => {
    it('without a chain, refuses one for a transaction that spends something', () => {
      requireMadeUpProofs(parseBeef(bytesOf(child)))
      const claimed = spending([source])
      claimed.merklePath = alone(claimed)
      expect(() => requireMadeUpProofs(parseBeef(bytesOf(claimed)))).to.throw(
        MalformedError,
        'spends nothing'
      )
    })

    it('also one that another transaction brings along', () => {
      // The spend claims no path of its own, but its id is a leaf of the path that its source claims.
      const two = new MerklePath(1, [
        [
          { offset: 0, hash: source.id('hex'), txid: true },
          { offset: 1, hash: child.id('hex') }
        ]
      ])
      const hidden = spending([new Transaction(1, [], source.outputs, 1, undefined, two)])
      expect(hidden.id('hex')).to.equal(child.id('hex'))
      const version1 = writeBeef([
        {
          bytes: Uint8Array.from(source.toBinary()),
          proof: { bytes: Uint8Array.from(two.toBinary()), blockHeight: 1, txids: [] }
        },
        { bytes: Uint8Array.from(hidden.toBinary()), proof: undefined }
      ])
      expect(() => requireMadeUpProofs(parseBeef(version1))).to.throw(MalformedError)
    })

    it('asks the chain about every path, once, and answers nothing else afterwards', async () => {
      const asked: string[] = []
      const chain = {
        currentHeight: async () => 50,
        isValidRootForHeight: async (root: string, height: number) => {
          asked.push(`${root} ${height}`)
          return true
        }
      }
      const bytes = bytesOf(grandchild)
      const beef = parseBeef(bytes)
      const remembered = await askChain(chain, beef, readAsLibrary(beef, bytes))
      expect(asked).to.have.members([`${source.id('hex')} 1`, `${mined(2).id('hex')} 2`])
      expect(await remembered.isValidRootForHeight(source.id('hex'), 1)).to.equal(true)
      expect(await remembered.isValidRootForHeight(source.id('hex'), 3)).to.equal(false)
      expect(asked).to.have.lengthOf(2)
    })

    it('refuses a path that leads to no block', async () => {
      const chain = { currentHeight: async () => 50, isValidRootForHeight: async () => false }
      const bytes = bytesOf(grandchild)
      const beef = parseBeef(bytes)
      const refused = await askChain(chain, beef, readAsLibrary(beef, bytes)).catch((error: unknown) => error)
      expect(refused).to.be.instanceOf(MalformedError)
    })
  })

  function bound(beef: Beef): void {
    boundVerification(beef, () => true)
  }

  function tryParse(bytes: Uint8Array): Beef | undefined {
    try {
      return parseBeef(bytes)
    } catch (error) {
      if (error instanceof MalformedError) return undefined
      throw error
    }
  }

  function parseOne(transaction: Transaction) {
    const bytes = Uint8Array.from(transaction.toBinary())
    const { txid } = parseTransaction(bytes)
    const proof = {
      bytes: Uint8Array.from(transaction.merklePath!.toBinary()),
      blockHeight: 1,
      txids: [txid]
    }
    return { bytes, proof }
  }
})
