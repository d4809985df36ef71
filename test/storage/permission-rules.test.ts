import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { parseSignedRule, permissionText } from '../../src/permissions/rule.js'
import { statement } from '../../src/storage/database.js'
import { curve, TestUser } from '../support/client.js'
import { createTestDatabase, type TestDatabase } from '../support/database.js'
import { vector } from '../support/vectors.js'

interface SignedVector {
  readonly what: string
  readonly recipient: string
  readonly messageBox: string
  readonly sender: string | null
  readonly recipientFee: number | null
  readonly setAt: number
  readonly signedText: string
  readonly signature: string
  readonly holds: boolean
}

interface LatestVector {
  readonly what: string
  readonly said: readonly { readonly recipientFee: number | null; readonly setAt: number }[]
  readonly holds: number | null
}

const vectors = JSON.parse(readFileSync(new URL('../vectors/permissions.json', import.meta.url), 'utf8')) as {
  readonly signed: readonly SignedVector[]
  readonly latest: readonly LatestVector[]
}

const WRITE = statement(
  'test-write-permission',
  `select write_permission($1::bytea, 'inbox', '', false, $2::bigint, null, $3::bigint, $3::bigint, 10) as outcome`
)
const READ = statement(
  'test-read-permission',
  `select recipient_fee from permissions where recipient = $1::bytea and message_box = 'inbox' and sender = ''`
)

describe('rules that recipients sign', () => {
  for (const { what, recipient, signedText, holds, sender, ...rule } of vectors.signed) {
    it(`${holds ? 'hold' : 'do not hold'}: ${what}`, () => {
      const named = { ...rule, sender: sender ?? undefined }
      expect(permissionText(recipient, named)).to.equal(signedText)
      const parsed = parseSignedRule(curve, recipient, named, { ...rule }, rule.setAt, 400)
      expect(parsed !== undefined).to.equal(holds)
      const changed = { ...rule, setAt: rule.setAt + 1 }
      expect(parseSignedRule(curve, recipient, named, changed, rule.setAt, 400)).to.equal(undefined)
    })
  }

  it('hold as the wire contract has them', () => {
    const { signer, signedText, base64 } = vector('permission')
    const [, , , messageBox, sender, recipientFee, setAt] = JSON.parse(signedText)
    const rule = { messageBox, sender, recipientFee }
    const signed = parseSignedRule(curve, signer, rule, { setAt, signature: base64 }, setAt, 400)
    expect(signed).to.include({ recipientFee: -1 })
  })

  describe('said in whatever order', () => {
    let databases: TestDatabase
    let users = 0
    before(async () => {
      databases = await createTestDatabase()
    })
    after(() => databases.drop())

    for (const { what, said, holds } of vectors.latest) {
      it(`end in the same: ${what}`, async () => {
        for (const order of permutations(said)) {
          const { identityKey } = new TestUser(`recipient ${users++} of rules`)
          const recipient = Buffer.from(identityKey, 'hex')
          for (const { recipientFee, setAt } of [...order, ...order]) {
            await databases.database.query(WRITE, [recipient, recipientFee, setAt])
          }
          const [row] = await databases.database.query<{ recipient_fee: number | null }>(READ, [recipient])
          expect(row!.recipient_fee, JSON.stringify(order)).to.equal(holds)
        }
      })
    }
  })
})

function permutations<T>(values: readonly T[]): T[][] {
  if (values.length < 2) return [[...values]]
  return values.flatMap((value, i) =>
    permutations([...values.slice(0, i), ...values.slice(i + 1)]).map(rest => [value, ...rest])
  )
}
