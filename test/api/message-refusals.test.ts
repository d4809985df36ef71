import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { type MessageBoxNode, startMessageBoxNode } from '../support/message-box-node.js'

const alice = new TestUser('refused alice')
const bob = new TestUser('refused bob')
const many = Array.from({ length: 101 }, (_, i) => new TestUser(`refused ${i}`).identityKey)

const message = (members: object) => ({
  message: { recipient: bob.identityKey, messageBox: 'inbox', messageId: '1', body: 'x', ...members }
})
const toMany = (recipients: readonly string[], messageId: unknown = undefined) =>
  message({ recipient: undefined, recipients, messageId })

const SENDING: [what: string, body: unknown, status: number, code: string][] = [
  ['no message', {}, 400, 'ERR_MESSAGE_REQUIRED'],
  ['a message that is null', { message: null }, 400, 'ERR_MESSAGE_REQUIRED'],
  ['a message that is no object', { message: 'x' }, 400, 'ERR_INVALID_MESSAGE'],
  ['no recipient', message({ recipient: undefined }), 400, 'ERR_RECIPIENT_REQUIRED'],
  ['an empty recipient', message({ recipient: '' }), 400, 'ERR_RECIPIENT_REQUIRED'],
  ['no recipients', message({ recipient: [] }), 400, 'ERR_RECIPIENT_REQUIRED'],
  ['a recipient that is no key', message({ recipient: '02ab' }), 400, 'ERR_INVALID_RECIPIENT_KEY'],
  ['a recipient that is a number', message({ recipient: 7 }), 400, 'ERR_INVALID_RECIPIENT_KEY'],
  ['two forms that differ', message({ recipients: [alice.identityKey] }), 400, 'ERR_INVALID_RECIPIENT'],
  ['recipients that are no array', message({ recipients: 'x' }), 400, 'ERR_INVALID_RECIPIENT'],
  ['a recipient twice', toMany([many[0]!, many[0]!]), 400, 'ERR_DUPLICATE_RECIPIENT'],
  [
    'a recipient in two spellings',
    toMany([many[0]!, many[0]!.toUpperCase()]),
    400,
    'ERR_DUPLICATE_RECIPIENT'
  ],
  ['101 recipients', toMany(many), 400, 'ERR_TOO_MANY_RECIPIENTS'],
  ['no box', message({ messageBox: undefined }), 400, 'ERR_MESSAGEBOX_REQUIRED'],
  ['a blank box', message({ messageBox: ' ' }), 400, 'ERR_INVALID_MESSAGEBOX'],
  ['a box with blanks at its ends', message({ messageBox: ' inbox' }), 400, 'ERR_INVALID_MESSAGEBOX'],
  ['a box that is a number', message({ messageBox: 7 }), 400, 'ERR_INVALID_MESSAGEBOX'],
  ['a box with control characters', message({ messageBox: 'a\nb' }), 400, 'ERR_INVALID_MESSAGEBOX'],
  ['a box of 129 bytes', message({ messageBox: 'x'.repeat(129) }), 400, 'ERR_MESSAGEBOX_TOO_LARGE'],
  ['the box of the node', message({ messageBox: 'delivery_reports' }), 403, 'ERR_RESERVED_MESSAGEBOX'],
  ['a blank id', message({ messageId: ' ' }), 400, 'ERR_INVALID_MESSAGEID'],
  ['an id that is no integer', message({ messageId: 1.5 }), 400, 'ERR_INVALID_MESSAGEID'],
  ['an id of 257 bytes', message({ messageId: 'x'.repeat(257) }), 400, 'ERR_INVALID_MESSAGEID'],
  ['two ids for one', message({ messageId: ['a', 'b'] }), 400, 'ERR_MESSAGEID_COUNT_MISMATCH'],
  ['one id for two', toMany(many.slice(0, 2), 'a'), 400, 'ERR_MESSAGEID_COUNT_MISMATCH'],
  ['no body', message({ body: undefined }), 400, 'ERR_MESSAGE_BODY_REQUIRED'],
  ['an empty body', message({ body: '' }), 400, 'ERR_INVALID_MESSAGE_BODY'],
  ['a blank body', message({ body: ' \n' }), 400, 'ERR_INVALID_MESSAGE_BODY'],
  ['a body that is a number', message({ body: 5 }), 400, 'ERR_INVALID_MESSAGE_BODY'],
  ['a body that is too long', message({ body: 'x'.repeat(1_001) }), 413, 'ERR_MESSAGE_BODY_TOO_LARGE']
]

const READING: [what: string, path: string, body: unknown, code: string][] = [
  ['no box', '/listMessages', {}, 'ERR_MESSAGEBOX_REQUIRED'],
  ['a blank box', '/listMessages', { messageBox: ' ' }, 'ERR_INVALID_MESSAGEBOX'],
  ['a limit of 0', '/listMessages', { messageBox: 'a', limit: 0 }, 'ERR_INVALID_LIMIT'],
  ['a limit that is text', '/listMessages', { messageBox: 'a', limit: '5' }, 'ERR_INVALID_LIMIT'],
  ['a negative offset', '/listMessages', { messageBox: 'a', offset: -1 }, 'ERR_INVALID_OFFSET'],
  ['no ids', '/acknowledgeMessage', {}, 'ERR_MESSAGE_ID_REQUIRED'],
  ['an empty list of ids', '/acknowledgeMessage', { messageIds: [] }, 'ERR_MESSAGE_ID_REQUIRED'],
  ['ids that are no array', '/acknowledgeMessage', { messageIds: 'a' }, 'ERR_INVALID_MESSAGE_ID'],
  ['an id that is an object', '/acknowledgeMessage', { messageIds: [{}] }, 'ERR_INVALID_MESSAGE_ID'],
  ['1,001 ids', '/acknowledgeMessage', { messageIds: Array(1_001).fill('a') }, 'ERR_TOO_MANY_MESSAGE_IDS']
]

describe('what message boxes refuse, with the codes that clients know', () => {
  let node: MessageBoxNode
  before(async () => {
    node = await startMessageBoxNode({ messageBodyBytes: 1_000 })
  })
  after(() => node.stop())

  for (const [what, body, status, code] of SENDING) {
    it(`a send with ${what}`, async () => {
      const answer = await alice.post(node.url, '/sendMessage', body)
      expect(answer).to.include({ status, signature: 'valid' })
      expect(answer.json).to.include({ status: 'error', code })
      expect(answer.json.description).to.be.a('string')
    })
  }

  for (const [what, path, body, code] of READING) {
    it(`${path} with ${what}`, async () => {
      const answer = await alice.post(node.url, path, body)
      expect(answer).to.include({ status: 400, signature: 'valid' })
      expect(answer.json).to.include({ status: 'error', code })
    })
  }

  it('nothing that clients add, leave out or spell differently', async () => {
    const bodies = [
      { ...message({ skipEncryption: true, checkPermissions: false, more: 1 }), more: 2 },
      { ...message({ messageId: null, createdAt: null }), payment: null },
      message({ recipient: bob.identityKey.toUpperCase(), messageId: 'upper' }),
      message({ recipient: [bob.identityKey], messageId: ['array'] }),
      message({ recipients: [bob.identityKey], messageId: 5 }),
      message({ messageId: 'object', body: { a: [1] } })
    ]
    for (const body of bodies) {
      const answer = await alice.post(node.url, '/sendMessage', body)
      expect(answer.status, JSON.stringify(body)).to.equal(200)
      expect(answer.json.results).to.have.lengthOf(1)
    }
    const listed = await bob.post(node.url, '/listMessages', { messageBox: 'inbox', offset: null })
    expect(listed.json.messages).to.have.lengthOf(bodies.length)
    const none = await bob.post(node.url, '/acknowledgeMessage', { messageIds: ['x'], messageBox: 'inbox' })
    expect(none.json).to.deep.equal({ status: 'success', acknowledged: 0 })
  })
})
