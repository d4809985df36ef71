import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import fc from 'fast-check'
import { checkSessionNonce, mintSessionNonce, SESSION_LIFE } from '../../src/auth/session-nonce.js'
import { TestUser } from '../support/client.js'

const node = new TestUser('node').keys
const otherNode = new TestUser('other node').keys
const alice = new TestUser('alice').identityKey
const bob = new TestUser('bob').identityKey
const NOW = 1_767_225_600_000
const MINUTE = 60_000

describe('session nonce', () => {
  const initialNonce = randomBytes(48).toString('base64')
  const nonce = mintSessionNonce(node, { identityKey: alice, initialNonce, issuedAt: NOW })

  it('holds the session: the initial nonce and its times', () => {
    const session = checkSessionNonce(node, nonce, alice, NOW + 1)
    expect(session).to.deep.equal({ initialNonce, issuedAt: NOW, expiresAt: NOW + SESSION_LIFE })
  })

  it('is another each time', () => {
    expect(mintSessionNonce(node, { identityKey: alice, initialNonce, issuedAt: NOW })).to.not.equal(nonce)
  })

  it('takes initial nonces of 16 to 128 bytes, and makes nonces that stock clients can use in a key id', () => {
    for (const length of [16, 32, 48, 128]) {
      const theirs = randomBytes(length).toString('base64')
      const ours = mintSessionNonce(node, { identityKey: alice, initialNonce: theirs, issuedAt: NOW })
      expect(checkSessionNonce(node, ours, alice, NOW)?.initialNonce).to.equal(theirs)
      expect(`${theirs} ${ours}`.length).to.be.below(800)
    }
    for (const wrong of [
      '',
      'AAAA',
      randomBytes(15).toString('base64'),
      randomBytes(129).toString('base64'),
      `${initialNonce}=`
    ]) {
      expect(() =>
        mintSessionNonce(node, { identityKey: alice, initialNonce: wrong, issuedAt: NOW })
      ).to.throw(RangeError)
    }
  })

  it('counts for the identity key it was given to, and for no other', () => {
    expect(checkSessionNonce(node, nonce, bob, NOW)).to.equal(undefined)
  })

  it('counts at every process with the node key, and at no other node', () => {
    const replica = new TestUser('node').keys
    expect(checkSessionNonce(replica, nonce, alice, NOW)?.issuedAt).to.equal(NOW)
    expect(checkSessionNonce(otherNode, nonce, alice, NOW)).to.equal(undefined)
  })

  const times: [what: string, now: number, isTaken: boolean][] = [
    ['at once', NOW, true],
    ['a millisecond before an hour has passed', NOW + SESSION_LIFE - 1, true],
    ['after an hour', NOW + SESSION_LIFE, false],
    ['five minutes before it was issued', NOW - 5 * MINUTE, true],
    ['earlier than five minutes before it was issued', NOW - 5 * MINUTE - 1, false]
  ]
  for (const [what, now, isTaken] of times) {
    it(`is ${isTaken ? 'taken' : 'refused'} ${what}`, () => {
      expect(checkSessionNonce(node, nonce, alice, now) !== undefined).to.equal(isTaken)
    })
  }

  it('is refused with any bit changed, shortened or lengthened', () => {
    const bytes = Buffer.from(nonce, 'base64')
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      expect(checkSessionNonce(node, changed.toString('base64'), alice, NOW), `bit ${bit}`).to.equal(
        undefined
      )
    }
    for (let length = 0; length < bytes.length; length++) {
      const cut = bytes.toString('base64', 0, length)
      expect(checkSessionNonce(node, cut, alice, NOW), `length ${length}`).to.equal(undefined)
    }
    const longer = Buffer.concat([bytes, Buffer.alloc(1)]).toString('base64')
    expect(checkSessionNonce(node, longer, alice, NOW)).to.equal(undefined)
  })

  it('is refused in another spelling', () => {
    const theirs = randomBytes(49).toString('base64')
    const ours = mintSessionNonce(node, { identityKey: alice, initialNonce: theirs, issuedAt: NOW })
    expect(ours).to.match(/=$/)
    for (const spelling of [
      ours.replaceAll('=', ''),
      ` ${ours}`,
      `${ours}\n`,
      ours.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''),
      `${ours}=`
    ]) {
      expect(checkSessionNonce(node, spelling, alice, NOW)).to.equal(undefined)
    }
  })

  it('is refused, without an error, whatever is given for it', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.base64String(), fc.base64String({ minLength: 116, maxLength: 268 })),
        text => {
          expect(checkSessionNonce(node, text, alice, NOW)).to.equal(undefined)
        }
      )
    )
  })
})
