import { expect } from 'chai'
import {
  envelopeId,
  envelopeIdInTurns,
  messageName,
  publicInteger,
  rowKey,
  rowKeyInTurns
} from '../../src/names.js'
import { vector } from '../support/vectors.js'

describe('names across hosts (protocol section 2)', () => {
  it('computes envelope ids and public integers as the vectors do', () => {
    const sender = vector('keys').keys.sender.identityKey
    for (const envelope of vector('envelope-ids').envelopes) {
      const id = envelopeId(
        sender,
        envelope.signedMessageFormat,
        envelope.keyID,
        Buffer.from(envelope.signedBytesHex, 'hex')
      )
      expect(id.toString('hex')).to.equal(envelope.envelopeId)
      expect(publicInteger(id, Buffer.from(envelope.recipient, 'hex'))).to.equal(envelope.publicInteger)
    }
  })

  it('names signed and sealed messages by what they say, not by their envelope', () => {
    const sender = vector('keys').keys.sender.identityKey
    const envelope = Buffer.alloc(32)
    const [signed, sealed] = vector('message-names').names
    const signedText = vector('origin-signature').signedText
    const [, , , ciphertext] = JSON.parse(sealed.text)
    expect(messageName(sender, 'inbox', undefined, signedText, envelope).toString('hex')).to.equal(
      signed.name
    )
    expect(messageName(sender, 'inbox', ciphertext, undefined, envelope).toString('hex')).to.equal(
      sealed.name
    )
    expect(messageName(sender, 'inbox', ciphertext, signedText, envelope).toString('hex')).to.equal(
      sealed.name
    )
    expect(messageName(sender, 'inbox', undefined, undefined, envelope)).to.equal(envelope)
    for (const { name, recipient, publicInteger: integer } of [signed, sealed]) {
      expect(publicInteger(Buffer.from(name, 'hex'), Buffer.from(recipient, 'hex'))).to.equal(integer)
    }
  })
})

describe('hashes in turns', () => {
  it('are those of everything at once', async () => {
    for (const text of ['', 'a', 'é'.repeat(300_000), `x${'😀'.repeat(400_000)}`]) {
      expect(await rowKeyInTurns(text)).to.equal(rowKey(text))
    }
    const bytes = Buffer.alloc(3_000_001, 'abc')
    const id = envelopeId('02'.repeat(33), 'brc104', 'key', bytes)
    expect(await envelopeIdInTurns('02'.repeat(33), 'brc104', 'key', bytes)).to.deep.equal(id)
  })
})
