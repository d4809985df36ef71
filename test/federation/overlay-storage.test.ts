import { randomBytes } from 'node:crypto'
import type { Output } from '@bsv/overlay'
import { expect } from 'chai'
import { OverlayStorage } from '../../federation/overlay/storage.js'
import { insertOverlayTransaction } from '../../federation/storage/overlay-outputs.js'
import { claimInteraction, releaseInteraction } from '../../federation/storage/overlay-progress.js'
import {
  claimSubmissions,
  enqueueSubmissions,
  forgetOtherPeers,
  submissionEnded,
  submissionFailed
} from '../../federation/storage/overlay-submissions.js'
import type { Database } from '../../src/storage/database.js'
import { createTestDatabase, type TestDatabase } from '../support/database.js'
import { gate } from '../support/overlay.js'

const NOW = 1_800_000_000_000

describe('overlay storage', () => {
  let databases: TestDatabase
  let database: Database
  let storage: OverlayStorage
  before(async () => {
    databases = await createTestDatabase()
    database = databases.database
    storage = new OverlayStorage(database, NOW)
  })
  after(() => databases.drop())

  function newTxid(): string {
    return randomBytes(32).toString('hex')
  }

  function output(changes: Partial<Output> = {}): Output {
    return {
      txid: newTxid(),
      outputIndex: 0,
      outputScript: [0x51, 0, 255],
      satoshis: 1,
      topic: 'tm_phip',
      spent: false,
      beef: [1, 2, 255],
      outputsConsumed: [],
      consumedBy: [],
      score: 1,
      ...changes
    }
  }

  describe('keeps what the engine of @bsv/overlay gives it', () => {
    it('an output with its transaction, to the byte', async () => {
      const consumed = [{ txid: newTxid(), outputIndex: 4 }]
      const given = output({ satoshis: 3_000_000_000, outputsConsumed: consumed })
      await storage.insertOutput(given)
      const found = await storage.findOutput(given.txid, 0, 'tm_phip', undefined, true)
      expect(found).to.deep.include({
        txid: given.txid,
        outputIndex: 0,
        outputScript: [0x51, 0, 255],
        satoshis: 3_000_000_000,
        topic: 'tm_phip',
        spent: false,
        beef: [1, 2, 255],
        outputsConsumed: consumed,
        consumedBy: []
      })
      expect(await storage.findOutput(given.txid, 0)).not.to.have.property('beef')
      expect((await storage.findOutputsForTransaction(given.txid, true))[0]?.beef).to.deep.equal([1, 2, 255])
    })

    it('one outpoint once for each topic', async () => {
      const given = output()
      await Promise.all([
        storage.insertOutput(given),
        storage.insertOutput(given),
        storage.insertOutput(given)
      ])
      await storage.insertOutput({ ...given, topic: 'tm_other' })
      expect(await storage.findOutputsForTransaction(given.txid)).to.have.lengthOf(2)
    })

    it('nothing for what it does not have', async () => {
      expect(await storage.findOutput(newTxid(), 0)).to.equal(null)
      expect(await storage.findOutput(newTxid(), 0, undefined, undefined, true)).to.equal(null)
      expect(await storage.findOutputsForTransaction(newTxid())).to.deep.equal([])
    })

    it('spends, and who consumed what', async () => {
      const given = output()
      await storage.insertOutput(given)
      await storage.markUTXOAsSpent(given.txid, 0, 'tm_phip')
      await storage.updateConsumedBy(given.txid, 0, 'tm_phip', [{ txid: given.txid, outputIndex: 9 }])
      await storage.updateOutputBlockHeight(given.txid, 0, 'tm_phip', 800_000)
      await storage.updateTransactionBEEF(given.txid, [9])
      expect(await storage.findOutput(given.txid, 0, 'tm_phip', false)).to.equal(null)
      expect(await storage.findOutput(given.txid, 0, 'tm_phip', true, true)).to.deep.include({
        spent: true,
        blockHeight: 800_000,
        beef: [9],
        consumedBy: [{ txid: given.txid, outputIndex: 9 }]
      })
      expect((await storage.findUTXOsForTopic('tm_phip')).map(({ txid }) => txid)).not.to.include(given.txid)
    })

    it('an output of another topic when one is deleted, and a transaction as long as an output needs it', async () => {
      const given = output()
      await storage.insertOutput(given)
      await storage.insertOutput({ ...given, topic: 'tm_other' })
      await storage.deleteOutput(given.txid, 0, 'tm_phip')
      expect(await storage.findOutput(given.txid, 0, 'tm_phip')).to.equal(null)
      expect((await storage.findOutput(given.txid, 0, 'tm_other', undefined, true))?.beef).to.deep.equal([
        1, 2, 255
      ])
      await storage.deleteOutput(given.txid, 0, 'tm_other')
      const left = { name: '', text: 'select from overlay_transactions where txid = $1' }
      expect(await database.query(left, [Buffer.from(given.txid, 'hex')])).to.deep.equal([])
    })

    it('which transactions were judged, and how far hosts were read', async () => {
      const txid = newTxid()
      expect(await storage.doesAppliedTransactionExist({ txid, topic: 'tm_phip' })).to.equal(false)
      await storage.insertAppliedTransaction({ txid, topic: 'tm_phip' })
      await storage.insertAppliedTransaction({ txid, topic: 'tm_phip' })
      expect(await storage.doesAppliedTransactionExist({ txid, topic: 'tm_phip' })).to.equal(true)
      expect(await storage.doesAppliedTransactionExist({ txid, topic: 'tm_other' })).to.equal(false)
      expect(await storage.getLastInteraction('http://a', 'tm_phip')).to.equal(0)
      await storage.updateLastInteraction('http://a', 'tm_phip', NOW)
      expect(await storage.getLastInteraction('http://a', 'tm_phip')).to.equal(NOW)
    })
  })

  describe('gives scores', () => {
    it('that rise from the time, also within one millisecond and when the clock goes back', async () => {
      const topic = 'tm_scores'
      for (const now of [NOW, NOW, NOW - 5_000, NOW + 1_000]) {
        await new OverlayStorage(database, now).insertOutput(output({ topic }))
      }
      const scores = (await storage.findUTXOsForTopic(topic)).map(({ score }) => score)
      expect(scores).to.deep.equal([NOW, NOW + 1, NOW + 2, NOW + 1_000])
    })

    it('in the order of commits: none appears below one that was already read', async () => {
      const topic = 'tm_commits'
      const first = output({ topic })
      const second = output({ topic })
      const inserted = gate()
      const release = gate()
      const holding = database.transaction(async tx => {
        await new OverlayStorage(tx, NOW).insertOutput(first)
        inserted.open()
        await release.opened
      })
      await inserted.opened
      const overtaking = storage.insertOutput(second)
      await untilSomebodyWaits()
      expect(await storage.findUTXOsForTopic(topic, 0), 'nothing of the later one is visible').to.deep.equal(
        []
      )
      release.open()
      await Promise.all([holding, overtaking])
      const read = await storage.findUTXOsForTopic(topic, 0)
      expect(read.map(({ txid }) => txid)).to.deep.equal([first.txid, second.txid])
    })

    it('from which a page goes on, the score itself included', async () => {
      const topic = 'tm_pages'
      for (let count = 0; count < 5; count++) await storage.insertOutput(output({ topic }))
      const page = await storage.findUTXOsForTopic(topic, 0, 3)
      expect(page).to.have.lengthOf(3)
      const rest = await storage.findUTXOsForTopic(topic, page[2]!.score, 10)
      expect(rest.map(({ txid }) => txid)[0]).to.equal(page[2]!.txid)
      expect(rest).to.have.lengthOf(3)
    })
  })

  it('lets one process read a host at a time, until the claim ends by itself', async () => {
    expect(await claimInteraction(database, 'http://b', 'tm_phip', NOW, NOW + 60)).to.equal(0)
    expect(await claimInteraction(database, 'http://b', 'tm_phip', NOW + 59, NOW + 100)).to.equal(undefined)
    expect(await claimInteraction(database, 'http://b', 'tm_phip', NOW + 60, NOW + 120)).to.equal(0)
    await releaseInteraction(database, 'http://b', 'tm_phip')
    expect(await claimInteraction(database, 'http://b', 'tm_phip', NOW + 61, NOW + 120)).to.equal(0)
  })

  describe('keeps what must reach a peer', () => {
    async function enqueued(peers: string[]): Promise<string> {
      const txid = newTxid()
      await insertOverlayTransaction(database, txid, Buffer.of(7))
      await enqueueSubmissions(database, 'tm_phip', txid, peers, NOW)
      return txid
    }
    const transactionsOf = (txid: string) =>
      database.query({ name: '', text: 'select from overlay_transactions where txid = $1' }, [
        Buffer.from(txid, 'hex')
      ])

    it('until every peer has acknowledged it; then it goes', async () => {
      const txid = await enqueued(['http://1', 'http://2'])
      const [claimed, ...others] = await claimSubmissions(database, ['http://1'], 10, NOW, NOW + 60)
      expect(others).to.deep.equal([])
      expect(claimed).to.deep.include({ txid, peer: 'http://1', attempts: 1 })
      expect(claimed?.beef).to.deep.equal(Buffer.of(7))
      await submissionEnded(database, { txid, topic: 'tm_phip', peer: 'http://1' })
      expect(await transactionsOf(txid)).to.have.lengthOf(1)
      await submissionEnded(database, { txid, topic: 'tm_phip', peer: 'http://2' })
      expect(await transactionsOf(txid)).to.deep.equal([])
    })

    it('not twice at a time, again when the claim ends, later after a failure', async () => {
      const txid = await enqueued(['http://3'])
      const claim = async (now: number) =>
        (await claimSubmissions(database, ['http://3'], 10, now, now + 60)).length
      expect(await claim(NOW)).to.equal(1)
      expect(await claim(NOW + 59)).to.equal(0)
      expect(await claim(NOW + 60)).to.equal(1)
      await submissionFailed(database, { txid, topic: 'tm_phip', peer: 'http://3' }, NOW + 500, 'no')
      expect(await claim(NOW + 499)).to.equal(0)
      expect(await claim(NOW + 500)).to.equal(1)
    })

    it('as long as it is a peer', async () => {
      const txid = await enqueued(['http://4', 'http://5'])
      await forgetOtherPeers(database, ['http://5'])
      expect(await claimSubmissions(database, ['http://4'], 10, NOW, NOW + 1)).to.deep.equal([])
      expect(await transactionsOf(txid)).to.have.lengthOf(1)
      await forgetOtherPeers(database, [])
      expect(await transactionsOf(txid)).to.deep.equal([])
    })
  })

  async function untilSomebodyWaits(): Promise<void> {
    const text = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    while ((await database.query({ name: '', text })).length === 0);
  }
})
