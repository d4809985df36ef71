import { authInvoiceNumber } from '../src/auth/brc104.js'
import { identityKeyBytes } from '../src/keys/identity-key.js'
import type { Bomb } from './bombs.js'
import type { Session } from './client.js'
import { requestBytes } from './raw-request.js'

const MEBIBYTE = 2 ** 20
const MANY = 100_000

/** Well-formed JSON that asks too much of one call, or lies about lengths in what it carries. */
export function callBombs(session: Session): Bomb[] {
  return [...messageBombs(session), ...propagationBombs(session), ...routingBombs(session), ...overlayBombs()]
}

function signed(session: Session, path: string, name: string, body: () => unknown): Bomb {
  return { name: `${path} ${name}`, bytes: () => requestBytes(path, json(body()), session) }
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function times<T>(count: number, item: T): T[] {
  return new Array<T>(count).fill(item)
}

function messageBombs(session: Session): Bomb[] {
  const recipient = session.client.identityKey
  const sending = (name: string, members: () => object): Bomb =>
    signed(session, '/sendMessage', name, () => ({
      message: { recipient, messageBox: 'bombs', body: 'x', ...members() }
    }))
  return [
    sending('to 100,000 recipients', () => ({ recipient: undefined, recipients: times(MANY, recipient) })),
    sending('to 100,000 that are no keys', () => ({ recipient: undefined, recipients: times(MANY, 'x') })),
    sending('with an id of 1 MiB', () => ({ messageId: 'x'.repeat(MEBIBYTE) })),
    sending('with 100,000 ids', () => ({ messageId: times(MANY, 'x') })),
    sending('to a box whose name has 1 MiB', () => ({ messageBox: 'x'.repeat(MEBIBYTE) })),
    sending('with a body of 2 MiB', () => ({ body: 'x'.repeat(2 * MEBIBYTE) })),
    sending('with a body of 1,000,000 numbers', () => ({ body: { numbers: times(1_000_000, 7) } })),
    sending('with a signature of 1 MiB', () => ({ createdAt: 1, signature: 'A'.repeat(MEBIBYTE) })),
    sending('at no time', () => ({ createdAt: 1e300, signature: 'A' })),
    signed(session, '/listMessages', 'from a cursor of 1 MiB', () => ({
      messageBox: 'bombs',
      cursor: 'x'.repeat(MEBIBYTE)
    })),
    signed(session, '/listMessages', 'all there are', () => ({ messageBox: 'bombs', limit: 1e300 })),
    signed(session, '/acknowledgeMessage', '100,000 ids', () => ({ messageIds: times(MANY, 'x') })),
    signed(session, '/acknowledgeMessage', 'an id of 1 MiB', () => ({ messageIds: ['x'.repeat(MEBIBYTE)] })),
    signed(session, '/deliveryStatus', '100,000 ids', () => ({ messageIds: times(MANY, 1) }))
  ]
}

function propagationBombs(session: Session): Bomb[] {
  const { keys, identityKey } = session.client
  const keyID = 'a b'
  const invoiceNumber = authInvoiceNumber(keyID)
  const nodeKey = identityKeyBytes(session.nodeKey)
  const propagating = (
    name: string,
    members: (signedBytes: Buffer) => object,
    signedBytes = Buffer.alloc(100)
  ): Bomb =>
    signed(session, '/propagateMessage', name, () => ({
      originalSender: identityKey,
      // Good, so that what was signed is looked at.
      keyLinkage: keys.linkage(nodeKey, invoiceNumber).toString('hex'),
      signedMessage: signedBytes.toString('base64'),
      signedMessageFormat: 'brc104',
      senderSignature: keys.sign(signedBytes, invoiceNumber, nodeKey).toString('hex'),
      keyID,
      ...members(signedBytes)
    }))
  const lying = (name: string, hex: string): Bomb =>
    propagating(name, () => ({}), Buffer.concat([Buffer.alloc(32), Buffer.from(hex, 'hex')]))
  return [
    lying('a method of 2^64 bytes', 'ffffffffffffffffff'),
    lying('a path of 2^32 bytes', '04504f5354feffffffff'),
    lying('2^53 headers', '04504f5354012fffffffffffffffffffffffffffffffff1f00'),
    lying('lengths in more bytes than they need', 'fd0400504f5354'),
    propagating('4 MiB of zeros', () => ({}), Buffer.alloc(4 * MEBIBYTE)),
    propagating('base64 with blanks', () => ({ signedMessage: 'AAAA '.repeat(200_000) })),
    propagating('a signature of 1 MiB', () => ({ senderSignature: '30'.repeat(MEBIBYTE / 2) })),
    propagating('for 100,000 recipients', () => ({ recipients: times(MANY, identityKey) })),
    propagating('an authorization of 1 MiB', () => ({
      senderAuthorization: { hostKey: identityKey, given: 1, expires: 2, signature: 'A'.repeat(MEBIBYTE) }
    }))
  ]
}

function routingBombs(session: Session): Bomb[] {
  const { nodeKey } = session
  const authorizing = (name: string, expression: () => string): Bomb =>
    signed(session, '/authorizeRouting', name, () => ({
      message: `${nodeKey} localhost ${expression()}`,
      signature: '3006020101020101'
    }))
  return [
    authorizing('an expression that doubles', () => '(a+)+$'),
    authorizing('an expression of 10^9 repetitions', () => '((a{1000}){1000}){1000}'),
    authorizing('an expression of 240 parentheses', () => '('.repeat(120) + ')'.repeat(120)),
    authorizing('an expression of alternatives', () => '(a|a|a|a|a|a|a|a)*'.repeat(12)),
    authorizing('an expression that looks back', () => '(.*)\\1(?<=a)(?=b)'),
    authorizing('an expression of 1 MiB', () => 'a'.repeat(MEBIBYTE)),
    authorizing('an expression of character classes', () => '[\\p{L}\\p{N}]{1000}'.repeat(12)),
    signed(session, '/revokeRouting', 'a text of 1 MiB', () => ({
      message: 'x '.repeat(MEBIBYTE / 2),
      signature: '30'
    })),
    signed(session, '/authorizeSending', 'for ever', () => ({
      given: 0,
      expires: Number.MAX_SAFE_INTEGER,
      signature: 'A'
    }))
  ]
}

function overlayBombs(): Bomb[] {
  const open = (path: string, name: string, body: () => unknown, headers = {}): Bomb => ({
    name: `${path} ${name}`,
    bytes: () => requestBytes(path, json(body()), undefined, headers)
  })
  const beef = (name: string, bytes: () => Buffer, headers = {}): Bomb => ({
    name: `/submit ${name}`,
    bytes: () =>
      requestBytes(
        '/submit',
        bytes(),
        undefined,
        { 'x-topics': '["tm_phip"]', ...headers },
        'application/octet-stream'
      )
  })
  const hex = (text: string) => () => Buffer.from(text, 'hex')
  const topic = { 'x-bsv-topic': 'tm_phip' }
  return [
    beef('2^64 proofs', hex('0100beefffffffffffffffffff')),
    beef('2^32 transactions', hex('0100beef00feffffffff')),
    beef('2^32 inputs', hex('0100beef000101000000feffffffff')),
    beef('a script of 2^32 bytes', hex(`0100beef00010100000001${'00'.repeat(36)}feffffffff`)),
    beef('a proof of 64 levels with 2^32 leaves', hex('0100beef010140feffffffff')),
    beef('1,000,000 zeros', () => Buffer.alloc(1_000_000)),
    beef('250,000 empty transactions', () =>
      Buffer.concat([Buffer.from('0100beef00fe90d00300', 'hex'), Buffer.alloc(900_000)])
    ),
    beef('a frame of 2^64 bytes', () => Buffer.alloc(40, 0xff), { 'x-includes-off-chain-values': 'true' }),
    beef('16,000 topics', () => Buffer.alloc(10), { 'x-topics': JSON.stringify(times(8_000, 'tm_x')) }),
    open('/lookup', 'operators as in databases', () => ({
      service: 'ls_phip',
      query: { recipient: { $gt: '' } }
    })),
    open('/lookup', 'everything', () => ({ service: 'ls_phip', query: {} })),
    open('/lookup', 'a service of 15 kB', () => ({ service: 'x'.repeat(15_000), query: 'x' })),
    open('/lookup', '3,000 outpoints', () => ({
      service: 'ls_phip',
      query: { operator: '02'.repeat(33), outpoints: times(3_000, 'x') }
    })),
    open('/requestSyncResponse', 'from before the beginning', () => ({ version: 1, since: -1 }), topic),
    open(
      '/requestSyncResponse',
      'more than there are numbers',
      () => ({ version: 1, since: 0, limit: 1e300 }),
      topic
    ),
    open('/requestSyncResponse', 'another topic', () => ({ version: 1, since: 0 }), {
      'x-bsv-topic': 'x'.repeat(30_000)
    }),
    open('/requestForeignGASPNode', 'a graph of 3 kB', () => ({
      graphID: '0'.repeat(3_000),
      txid: '00'.repeat(32),
      outputIndex: 0
    })),
    open('/requestForeignGASPNode', 'an output that no transaction has', () => ({
      graphID: `${'00'.repeat(32)}.4294967296`,
      txid: '00'.repeat(32),
      outputIndex: 2 ** 32
    }))
  ]
}
