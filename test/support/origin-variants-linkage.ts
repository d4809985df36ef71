import { compactToDer, derToCompact } from '../../src/curve/der.js'
import { ANYONE_PUBLIC_KEY } from '../../src/keys/key-deriver.js'
import { BASES, type Base, baseOf, FORMATS, set } from './origin-bases.js'
import type { CaseList } from './origin-cases.js'
import { moved, negatedOffset, ORDER } from './origin-forgery.js'
import { type Built, build } from './origin-messages.js'
import { host, otherHost, otherSender, privateKey, recipient, sender, stranger } from './origin-parties.js'
import { flipped, looseDer, negated } from './origin-portable.js'
import { INVOICE_PREFIX } from './origin-requests.js'
import { curve, highS, sha256 } from './phip-token-builder.js'

type Named = readonly [name: string, what: string, value: string]

/** Bodies of the right form whose signature does not verify under the sender's key plus the offset. */
export function linkageVariants(list: CaseList): void {
  for (const base of BASES) {
    const built = build(base.recipe)
    const change = (member: string, variants: readonly Named[]): void => {
      for (const [name, what, value] of variants) {
        const id = `${base.name}/${member}-${name}`
        list.refuseBody('key-linkage', id, `${member} is ${what}`, set({ [member]: value })(built.body))
      }
    }
    // What the linkage says does not depend on the proof beside it.
    const some = <T>(variants: readonly T[]): readonly T[] =>
      base.origin === 'home-host' ? variants : variants.slice(0, 3)
    change('keyLinkage', some(otherLinkages(base, built)))
    change('originalSender', some(otherSenders(built)))
    change('signedMessage', some(otherBytes(built)))
    change('senderSignature', some(otherSignatures(base, built)))
    swapped(list, base, built)
  }
  for (const format of FORMATS) brokenSenderSignatures(list, baseOf('home-host', format))
  infinity(list)
}

/** Offsets that are not the one of this request, among them points taken for numbers. */
function otherLinkages({ format }: Base, { keyLinkage, keyID }: Built): Named[] {
  const invoice = INVOICE_PREFIX[format] + keyID
  const other = format === 'authrite' ? INVOICE_PREFIX.brc104 : INVOICE_PREFIX.authrite
  const shared = curve.sharedPoint(privateKey(host), sender.publicKey)
  const ofHost = (text: string): Buffer => host.linkage(sender.publicKey, text)
  const offsets: [name: string, what: string, offset: Uint8Array][] = [
    ['zero', '0', Buffer.alloc(32)],
    ['one', '1', Buffer.concat([Buffer.alloc(31), Buffer.of(1)])],
    ['order', 'the order of the group', ORDER],
    ['all-ff', 'more than the order of the group', Buffer.alloc(32, 0xff)],
    ['one-more', 'one more', moved(keyLinkage, 1)],
    ['one-less', 'one less', moved(keyLinkage, -1)],
    ['negated', 'its negative', negatedOffset(keyLinkage)],
    ['reversed', 'reversed', Buffer.from(keyLinkage).reverse()],
    ['first-bit', 'different in its first bit', flipped(keyLinkage, 0, 0x80)],
    [
      'truncated',
      'cut off, with zeros behind',
      Buffer.concat([keyLinkage.subarray(0, 16), Buffer.alloc(16)])
    ],
    ['hashed', 'hashed', sha256(keyLinkage)],
    ['shared-point', 'the shared secret, as a point without its sign', shared.subarray(1)],
    ['shared-point-hashed', 'the hash of the shared secret', sha256(shared)],
    [
      'child-key',
      'the child key without its sign',
      curve.addToPublicKey(sender.publicKey, keyLinkage).subarray(1)
    ],
    ['of-another-host', 'that of another host', otherHost.linkage(sender.publicKey, invoice)],
    ['of-another-sender', 'that of another sender', host.linkage(otherSender.publicKey, invoice)],
    ['for-anyone', 'that towards anyone', sender.linkage(ANYONE_PUBLIC_KEY, invoice)],
    ['of-another-protocol', 'that of another protocol', ofHost(other + keyID)],
    ['of-another-key-id', 'that of another key id', ofHost(`${invoice}0`)],
    ['of-the-key-id-alone', 'that of the key id without a protocol', ofHost(keyID)]
  ]
  return offsets.map(([name, what, offset]) => [name, what, Buffer.from(offset).toString('hex')])
}

function otherSenders({ keyLinkage }: Built): Named[] {
  const child = curve.addToPublicKey(sender.publicKey, keyLinkage)
  const keys: [name: string, what: string, key: Uint8Array][] = [
    ['other-sender', 'another sender', otherSender.publicKey],
    ['recipient', 'the recipient', recipient.publicKey],
    ['host', 'the home host', host.publicKey],
    ['anyone', '1·G', ANYONE_PUBLIC_KEY],
    ['negated', 'the key with the other sign', negated(sender.publicKey)],
    ['child', 'the child key', child]
  ]
  return keys.map(([name, what, key]) => [name, what, Buffer.from(key).toString('hex')])
}

function otherBytes({ signedBytes }: Built): Named[] {
  const { length } = signedBytes
  const changes: [name: string, what: string, bytes: Uint8Array][] = [
    ...[0, 40, Math.floor(length / 2), length - 30, length - 1].map((at): [string, string, Uint8Array] => [
      `bit-of-${at}`,
      `different in a bit of byte ${at}`,
      flipped(signedBytes, at)
    ]),
    ...[1, 32, Math.floor(length / 2), length - 1].map((left): [string, string, Uint8Array] => [
      `first-${left}`,
      `cut off after ${left} bytes`,
      signedBytes.subarray(0, left)
    ]),
    ['first-byte-missing', 'without its first byte', signedBytes.subarray(1)],
    ['zero-behind', 'with a zero behind it', Buffer.concat([signedBytes, Buffer.of(0)])],
    ['twice', 'twice', Buffer.concat([signedBytes, signedBytes])],
    [
      'other-text',
      'with other words',
      Buffer.from(signedBytes.toString('latin1').replace('inbox', 'inboy'), 'latin1')
    ],
    ['digest', 'the digest that was signed', sha256(signedBytes)]
  ]
  return changes.map(([name, what, bytes]) => [name, what, Buffer.from(bytes).toString('base64')])
}

function otherSignatures({ format }: Base, { signedBytes, senderSignature, keyID }: Built): Named[] {
  const invoice = INVOICE_PREFIX[format] + keyID
  const compact = derToCompact(senderSignature)!
  const root = compactToDer(curve.sign(sha256(signedBytes), privateKey(sender)))
  const signatures: [name: string, what: string, der: Uint8Array][] = [
    ['high-s', 'its twin with n − s for s', highS(senderSignature)],
    [
      'r-and-s-swapped',
      'with r and s in each other’s place',
      compactToDer(Buffer.concat([compact.subarray(32), compact.subarray(0, 32)]))
    ],
    ['bit-of-r', 'different in a bit of r', compactToDer(flipped(compact, 31))],
    ['bit-of-s', 'different in a bit of s', compactToDer(flipped(compact, 63))],
    ['by-another-sender', 'another sender’s', otherSender.sign(signedBytes, invoice, host.publicKey)],
    ['by-the-host', 'the host’s', host.sign(signedBytes, invoice, sender.publicKey)],
    ['for-another-host', 'made for another host', sender.sign(signedBytes, invoice, otherHost.publicKey)],
    ['for-anyone', 'made for anyone', sender.sign(signedBytes, invoice, ANYONE_PUBLIC_KEY)],
    [
      'of-another-key-id',
      'made under another key id',
      sender.sign(signedBytes, `${invoice}0`, host.publicKey)
    ],
    ['of-the-root-key', 'made with the identity key itself', root],
    [
      'of-digest',
      'made over the digest, hashed once more',
      sender.sign(sha256(signedBytes), invoice, host.publicKey)
    ]
  ]
  return signatures.map(([name, what, der]) => [name, what, Buffer.from(der).toString('hex')])
}

/** One member of another message of the same sender, or the same member of one of another sender. */
function swapped(list: CaseList, base: Base, { body }: Built): void {
  const others = {
    'another-message': build({ ...base.recipe, label: `${base.name} again`, body: 'something else' }),
    'another-sender': build({ ...base.recipe, sender: otherSender }),
    'another-host': build({ ...base.recipe, host: otherHost })
  }
  for (const [name, other] of Object.entries(others)) {
    for (const member of ['originalSender', 'keyLinkage', 'signedMessage', 'senderSignature']) {
      const value = other.body[member]
      if (value === body[member]) continue
      list.refuseBody(
        'key-linkage',
        `${base.name}/${member}-of-${name}`,
        `${member} is that of ${name.replace('-', ' ')}`,
        set({ [member]: value })(body)
      )
    }
  }
}

/** r and s are right, or as good as; the bytes are not those of a strict signature. */
function brokenSenderSignatures(list: CaseList, { name, recipe }: Base): void {
  const { body, senderSignature } = build(recipe)
  for (const [how, der] of looseDer(senderSignature)) {
    if (der.length < 8 || der.length > 72) continue
    const value = Buffer.from(der).toString('hex')
    list.refuseBody(
      'key-linkage',
      `${name}/der-${how}`,
      `senderSignature is not strict DER: ${how}`,
      set({ senderSignature: value })(body)
    )
  }
}

/** Whoever owns the stated sender can choose the offset that leaves no key at all. */
function infinity(list: CaseList): void {
  const { body } = build(baseOf('home-host').recipe)
  const keyLinkage = negatedOffset(privateKey(stranger)).toString('hex')
  const change = set({ originalSender: stranger.identityKey, keyLinkage })
  list.refuseBody('key-linkage', 'infinity', 'the offset takes the key to infinity', change(body))
}
