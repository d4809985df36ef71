import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { statement } from '../../src/storage/database.js'
import { claimDatabase } from '../../src/storage/owner.js'
import { createTestDatabase, type TestDatabase } from '../support/database.js'

const FORGET = statement('forget-owner', 'delete from node')

describe('the owner of a database', () => {
  let test: TestDatabase
  before(async () => {
    test = await createTestDatabase()
  })
  after(() => test?.drop())

  const claim = (key: Buffer) => claimDatabase(test.database, key, 1)
  const key = () => Buffer.concat([Buffer.from([2]), randomBytes(32)])

  it('is whoever comes first, also when processes of one node start at the same moment', async () => {
    for (let round = 0; round < 20; round++) {
      await test.database.query(FORGET)
      const ours = key()
      await Promise.all(Array.from({ length: 8 }, () => claim(ours)))
    }
  })

  it('stays; a node with another key does not start, whoever was a moment faster', async () => {
    for (let round = 0; round < 20; round++) {
      await test.database.query(FORGET)
      const keys = [key(), key(), key(), key()]
      const results = await Promise.allSettled(keys.map(claim))
      const refused = results.filter(result => result.status === 'rejected')
      expect(refused).to.have.length(3)
      for (const { reason } of refused) expect(String(reason)).to.contain('The database belongs to the node')
    }
  })
})
