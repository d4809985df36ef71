import { expect } from 'chai'
import { listAnswer } from '../../src/api/list-answer.js'
import type { ListedMessage } from '../../src/storage/messages.js'

const NASTY = ['', 'a', '"', '\\', '"},{"', '\n\t\u0001', 'é日本😀', '</script>', '\u2028']

function row(body: string, values: Partial<ListedMessage> = {}): ListedMessage {
  return {
    verdict: 'fresh',
    box_id: 1,
    position: 1,
    name: 'ab'.repeat(32),
    shown_id: '17',
    sender: '02'.repeat(33),
    body,
    wrapped: false,
    payment: null,
    origin: 'local',
    proof: null,
    created_at: 1_700_000_000_123,
    candidates: 1,
    ...values
  }
}

function shown(body: string, more: object = {}) {
  const time = '2023-11-14T22:13:20.123Z'
  return {
    messageId: 17,
    body,
    sender: '02'.repeat(33),
    createdAt: time,
    created_at: time,
    updatedAt: time,
    updated_at: time,
    envelopeId: 'ab'.repeat(32),
    origin: 'local',
    ...more
  }
}

const parsed = async (...values: Parameters<typeof listAnswer>): Promise<unknown> =>
  JSON.parse((await listAnswer(...values)).toString())

describe('the JSON of a list', () => {
  it('holds what was stored, whatever that is', async () => {
    const proof = { signature: 'AA==', createdAt: 1, messageId: '"\\' }
    const rows = [
      ...NASTY.map(text => row(text)),
      ...NASTY.map(text => row(text, { wrapped: true })),
      ...NASTY.map(text => row('x', { shown_id: text })),
      row('x', { proof })
    ]
    expect(await parsed(rows, { hasMore: true, nextCursor: '1.2"' })).to.deep.equal({
      status: 'success',
      messages: [
        ...NASTY.map(text => shown(text)),
        ...NASTY.map(text => shown(JSON.stringify({ message: text }))),
        ...NASTY.map(text => shown('x', { messageId: text })),
        shown('x', { proof })
      ],
      hasMore: true,
      nextCursor: '1.2"'
    })
    const asSent = NASTY.map(text => row(text, { wrapped: true }))
    expect(
      await parsed(asSent, { hasMore: false, nextCursor: undefined }, true),
      'to a reader who looks for nothing inside'
    ).to.deep.equal({
      status: 'success',
      messages: NASTY.map(text => shown(text)),
      hasMore: false
    })
    expect(await parsed([], { hasMore: false, nextCursor: undefined })).to.deep.equal({
      status: 'success',
      messages: [],
      hasMore: false
    })
  })

  it('of 8 MiB is written in pieces, and others have their turn in between', async () => {
    const body = '"é'.repeat(3_000)
    const rows = Array.from({ length: 900 }, () => row(body))
    let turns = 0
    const count = (): void => {
      turns++
      if (turns < 1_000) setImmediate(count)
    }
    setImmediate(count)
    const answer = await listAnswer(rows, { hasMore: false })
    expect(turns).to.be.at.least(5).and.below(1_000)
    turns = 1_000
    expect(JSON.parse(answer.toString()).messages).to.deep.equal(rows.map(() => shown(body)))
  })
})
