import { expect } from 'chai'
import { ApiError } from '../../src/errors.js'
import { identityKeyBytes, identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { ANYONE_PUBLIC_KEY, KeyDeriver } from '../../src/keys/key-deriver.js'
import { findPaid } from '../../src/payments/paid.js'
import { parsePayment } from '../../src/payments/payment.js'
import { paymentInvoiceNumber, paysNode, paysRecipient } from '../../src/payments/payment-keys.js'
import { makePrefix, readPrefix } from '../../src/payments/price-prefix.js'
import { encodePayment, paymentJson } from '../../src/payments/stored-payment.js'
import { type Beef, parseBeef } from '../../src/transactions/beef.js'
import { verifyBeef } from '../../src/transactions/verify.js'
import { curve, TestUser } from '../support/client.js'
import { PayingWallet } from '../support/paying-wallet.js'
import { makePayment } from '../support/payments.js'
import { vector } from '../support/vectors.js'

const ANYONE = identityKeyFromBytes(ANYONE_PUBLIC_KEY)
const { keys: known } = vector('keys')
const node = new KeyDeriver(curve, Buffer.from(known.server.private, 'hex'))

describe('keys of payments (BRC-29)', () => {
  it('are those of the vectors', () => {
    const delivery = vector('payment-delivery-fee')
    expect(paymentInvoiceNumber(delivery as never)).to.equal(delivery.invoiceNumber)
    const script = Buffer.from(delivery.lockingScript, 'hex')
    const payer = identityKeyBytes(delivery.senderIdentityKey)
    expect(paysNode(node, script, payer, delivery as never)).to.equal(true)
    expect(paysRecipient(curve, script, node.publicKey, delivery as never)).to.equal(false)
    const fee = vector('payment-recipient-fee')
    const feeScript = Buffer.from(fee.lockingScript, 'hex')
    expect(fee.senderIdentityKey).to.equal(ANYONE)
    expect(paysRecipient(curve, feeScript, identityKeyBytes(fee.payee), fee as never)).to.equal(true)
    expect(paysRecipient(curve, feeScript, node.publicKey, fee as never)).to.equal(false)
    expect(paysRecipient(curve, feeScript.subarray(1), identityKeyBytes(fee.payee), fee as never)).to.equal(
      false
    )
  })
})

describe('parsePayment', () => {
  const output = (change: object = {}, remittance: object = {}) => ({
    outputIndex: 0,
    protocol: 'wallet payment',
    paymentRemittance: {
      derivationPrefix: 'AQ==',
      derivationSuffix: 'Ag==',
      senderIdentityKey: ANYONE,
      ...remittance
    },
    ...change
  })
  const payment = (change: object = {}) => ({ tx: [1, 2], outputs: [output()], ...change })

  it('reads each form of bytes alike', () => {
    for (const tx of [[1, 2], { 0: 1, 1: 2 }, Buffer.from([1, 2])]) {
      expect(parsePayment(payment({ tx, description: 'five' }))).to.deep.equal({
        transaction: Buffer.from([1, 2]),
        outputs: [
          { outputIndex: 0, derivationPrefix: 'AQ==', derivationSuffix: 'Ag==', senderIdentityKey: ANYONE }
        ],
        description: 'five'
      })
    }
  })

  it('finds nothing where there is nothing', () => {
    for (const none of [undefined, null, { outputs: [] }, { tx: [1], outputs: [] }]) {
      expect(parsePayment(none)).to.equal(undefined)
    }
  })

  const unreadable: unknown[] = [
    5,
    [],
    'x',
    payment({ tx: [] }),
    payment({ tx: [1, -1] }),
    payment({ tx: [1.5] }),
    payment({ tx: ['1'] }),
    payment({ tx: { 1: 1 } }),
    payment({ tx: {} }),
    payment({ tx: 'AQI=' }),
    payment({ outputs: 5 }),
    payment({ outputs: undefined }),
    payment({ outputs: [null] }),
    payment({ outputs: Array.from({ length: 1_001 }, (_, outputIndex) => output({ outputIndex })) }),
    payment({ outputs: [output(), output()] }),
    payment({ outputs: [output({ outputIndex: -1 })] }),
    payment({ outputs: [output({ outputIndex: '0' })] }),
    payment({ outputs: [output({ protocol: 'basket insertion' })] }),
    payment({ outputs: [output({ paymentRemittance: 5 })] }),
    payment({ outputs: [output({}, { derivationPrefix: '' })] }),
    payment({ outputs: [output({}, { derivationPrefix: 'AQ' })] }),
    payment({ outputs: [output({}, { derivationPrefix: 'AR==' })] }),
    payment({ outputs: [output({}, { derivationSuffix: Buffer.alloc(129).toString('base64') })] }),
    payment({ outputs: [output({}, { senderIdentityKey: 'me' })] })
  ]
  for (const value of unreadable) {
    it(`says what is wrong with ${JSON.stringify(value).slice(0, 90)}`, () => {
      expect(parsePayment(value)).to.be.instanceOf(ApiError).with.property('code', 'ERR_INVALID_PAYMENT')
    })
  }

  it('says that the transaction is missing', () => {
    const error = parsePayment({ outputs: [output()] })
    expect(error).to.be.instanceOf(ApiError).with.property('code', 'ERR_MISSING_PAYMENT_TX')
  })
})

describe('findPaid', () => {
  it('gives up on an order that would be dear', () => {
    const strangers = Array.from(
      { length: 100 },
      (_, n) => new TestUser(`stranger ${n} of payments`).identityKey
    )
    let derivations = 0
    const counting = new Proxy(curve, {
      get: (target, name) => {
        const value = Reflect.get(target, name)
        if (name !== 'addToPublicKey') return typeof value === 'function' ? value.bind(target) : value
        return (...args: [Uint8Array, Uint8Array]) => {
          derivations++
          return target.addToPublicKey(...args)
        }
      }
    })
    const lockingScript = Buffer.from(`76a914${'00'.repeat(20)}88ac`, 'hex')
    const outputs = Array.from({ length: 1_000 }, (_, outputIndex) => ({
      outputIndex,
      derivationPrefix: 'AQ==',
      derivationSuffix: 'Ag==',
      senderIdentityKey: ANYONE
    }))
    const paid = findPaid(
      { curve: counting, keys: node },
      { transaction: Buffer.alloc(1), outputs, description: undefined },
      outputs.map(() => ({ satoshis: 1, lockingScript })),
      strangers[0]!,
      strangers
    )
    expect(paid.recipients.size).to.equal(0)
    expect(derivations).to.be.below(1_400)
  })
})

describe('verifyBeef', () => {
  let beef: Beef
  let root: string
  const wallet = new PayingWallet(new TestUser('verified'))

  before(async () => {
    const payment = await makePayment(wallet, [{ payee: ANYONE, satoshis: 5, forAnyone: true }])
    beef = parseBeef(Buffer.from(payment.tx))
    // The only transaction of its block.
    root = beef.transactions[0]!.txid
  })

  const tracker = (isValid: (asked: string, height: number) => boolean) => ({
    currentHeight: async () => 1,
    isValidRootForHeight: async (asked: string, height: number) => isValid(asked, height)
  })

  it('takes what the chain knows, and believes where no chain is known', async () => {
    await verifyBeef(beef, undefined)
    const { blockHeight } = beef.transactions[0]!.proof!
    await verifyBeef(
      beef,
      tracker((asked, height) => asked === root && height === blockHeight)
    )
  })

  it('refuses a block that the chain does not know, and tells where the chain is away', async () => {
    expect(
      await failure(
        verifyBeef(
          beef,
          tracker(() => false)
        )
      )
    ).to.match(/no block of this chain/)
    const away = tracker(() => {
      throw new Error('away')
    })
    expect(await failure(verifyBeef(beef, away))).to.match(/away/)
  })

  it('refuses a script that fails, and one output spent twice', async () => {
    const transaction = wallet.coinSpender()
    transaction.addOutput({
      lockingScript: transaction.inputs[0]!.sourceTransaction!.outputs[1]!.lockingScript,
      satoshis: 5
    })
    await transaction.sign()
    transaction.outputs[0]!.satoshis = 6
    expect(await failure(verifyBeef(parseBeef(Buffer.from(transaction.toBEEF())), undefined))).to.match(
      /script fails/
    )
    const twice = wallet.coinSpender()
    twice.addInput({ ...twice.inputs[0]! })
    twice.addOutput({
      lockingScript: twice.inputs[0]!.sourceTransaction!.outputs[1]!.lockingScript,
      satoshis: 1_500_000
    })
    await twice.sign()
    expect(await failure(verifyBeef(parseBeef(Buffer.from(twice.toBEEF())), undefined))).to.match(/twice/)
  })
})

describe('the prefix of a price', () => {
  const alice = new TestUser('alice of prices').keys.publicKey
  const bob = new TestUser('bob of prices').keys.publicKey

  it('says what was asked for, to whom it was given and for what, and nothing else does', () => {
    const prefix = makePrefix(node, alice, '/sendMessage', 77, 1_000)
    expect(prefix).to.have.length(64)
    expect(readPrefix(node, prefix, alice, '/sendMessage')).to.deep.equal({ satoshis: 77, endsAt: 601_000 })
    expect(readPrefix(node, prefix, bob, '/sendMessage')).to.equal(undefined)
    expect(readPrefix(node, prefix, alice, '/listMessages')).to.equal(undefined)
    expect(makePrefix(node, alice, '/sendMessage', 77, 1_000)).not.to.equal(prefix)
    const bytes = Buffer.from(prefix, 'base64')
    for (let at = 0; at < bytes.length; at++) {
      bytes[at]! ^= 1
      expect(readPrefix(node, bytes.toString('base64'), alice, '/sendMessage')).to.equal(undefined)
      bytes[at]! ^= 1
    }
    for (const other of ['', 'AQ==', `${prefix}AAAA`]) {
      expect(readPrefix(node, other, alice, '/sendMessage')).to.equal(undefined)
    }
  })
})

describe('a stored payment', () => {
  it('is read as it was', () => {
    const beef = Buffer.from(Array.from({ length: 70_000 }, (_, n) => n % 256))
    const output = {
      outputIndex: 3,
      derivationPrefix: 'AQ==',
      derivationSuffix: 'Ag==',
      senderIdentityKey: ANYONE
    }
    const json = [...paymentJson(encodePayment([{ ...output, satoshis: 5 }], 'für "dich"', beef))].join('')
    const { outputIndex, ...paymentRemittance } = output
    expect(JSON.parse(json)).to.deep.equal({
      tx: [...beef],
      outputs: [{ outputIndex, protocol: 'wallet payment', paymentRemittance }],
      description: 'für "dich"'
    })
    expect(
      JSON.parse([...paymentJson(encodePayment([], undefined, beef.subarray(0, 1)))].join(''))
    ).to.deep.equal({
      tx: [0],
      outputs: []
    })
  })
})

async function failure(work: Promise<void>): Promise<string> {
  return work.then(
    () => 'none',
    error => String(error)
  )
}
