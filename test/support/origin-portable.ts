import { compactToDer } from '../../src/curve/der.js'
import { ANYONE_PUBLIC_KEY, KeyDeriver } from '../../src/keys/key-deriver.js'
import { otherHost, privateKey, recipient, seeded, sender, stranger } from './origin-parties.js'
import { type Broken, brokenDer, forge } from './phip-broken-bytes.js'
import { curve, highS, sha256 } from './phip-token-builder.js'

/** The BRC-43 protocol of portable signatures. */
const PROTOCOL = '2-peerserv proof'
/** Everybody has this private key. */
const anyone = new KeyDeriver(curve, Buffer.concat([Buffer.alloc(31), Buffer.of(1)]))

interface Portable {
  readonly version: Uint8Array
  readonly signer: Uint8Array
  readonly verifier: Uint8Array
  readonly keyId: Uint8Array
  readonly der: Uint8Array
}

/** How a signature is made that is not what it seems; what is left out is as it should be. */
interface Foreign {
  /** The invoice number, from the text of the key id. */
  readonly invoice?: (keyId: string) => string
  readonly counterparty?: Uint8Array
  /** Who signs, where it is not the one named. */
  readonly by?: KeyDeriver
}

/** Something that is no portable signature of this signer over this text: a name, what it is, and the value. */
export type BrokenPortable = readonly [name: string, what: string, signature: string]

/** A portable signature as it is on the wire, base64; the label says which key id it has. */
export function portable(signer: KeyDeriver, text: string, label: string): string {
  return join(partsOf(signer, text, label))
}

/** What BRC-77 (SignedMessage of @bsv/sdk) makes for everybody to verify: the same layout, another protocol. */
export function brc77(signer: KeyDeriver, text: string, label: string): string {
  return join(partsOf(signer, text, label, { invoice: keyId => `2-message signing-${keyId}` }))
}

/** Every way of spoiling a portable signature that the other end must notice. */
export function brokenPortables(signer: KeyDeriver, text: string, label: string): BrokenPortable[] {
  const parts = partsOf(signer, text, label)
  return [
    ...ofOtherProtocols(signer, text, label),
    ...ofOtherKeys(signer, text, label),
    ...ofOtherLayout(parts),
    ...looseDer(parts.der).map(
      ([name, der]): BrokenPortable => [
        `der-${name}`,
        `with a signature that is not strict DER: ${name}`,
        join({ ...parts, der })
      ]
    ),
    ['high-s', 'with n − s for s', join({ ...parts, der: highS(parts.der) })],
    ...otherwiseSpelled(join(parts))
  ]
}

function partsOf(
  signer: KeyDeriver,
  text: string | Uint8Array,
  label: string,
  foreign: Foreign = {}
): Portable {
  const keyId = seeded(`key id ${label}`, 32)
  const {
    invoice = (id: string) => `${PROTOCOL}-${id}`,
    counterparty = ANYONE_PUBLIC_KEY,
    by = signer
  } = foreign
  return {
    version: Buffer.from('42423301', 'hex'),
    signer: signer.publicKey,
    verifier: Buffer.of(0),
    keyId,
    der: by.sign(Buffer.from(text), invoice(keyId.toString('base64')), counterparty)
  }
}

function join({ version, signer, verifier, keyId, der }: Portable): string {
  return Buffer.concat([version, signer, verifier, keyId, der]).toString('base64')
}

function ofOtherProtocols(signer: KeyDeriver, text: string, label: string): BrokenPortable[] {
  const protocols: [name: string, what: string, invoice: (keyId: string) => string][] = [
    ['brc-77', 'of BRC-77, as SignedMessage of @bsv/sdk makes it', id => `2-message signing-${id}`],
    ...[
      '1-peerserv proof',
      '2-Peerserv proof',
      '2-peerserv proofs',
      '2-auth message signature',
      '1-phip authorization'
    ].map((protocol): [string, string, (keyId: string) => string] => [
      `protocol-${protocol.replaceAll(' ', '-')}`,
      `made under the protocol ${protocol}`,
      id => `${protocol}-${id}`
    ]),
    [
      'key-id-in-hex',
      'made under the key id in hex',
      id => `${PROTOCOL}-${Buffer.from(id, 'base64').toString('hex')}`
    ],
    ['key-id-1', 'made under the key id 1', () => `${PROTOCOL}-1`],
    ['key-id-empty', 'made under an empty key id', () => `${PROTOCOL}-`]
  ]
  return protocols.map(([name, what, invoice]) => [
    name,
    what,
    join(partsOf(signer, text, label, { invoice }))
  ])
}

function ofOtherKeys(signer: KeyDeriver, text: string, label: string): BrokenPortable[] {
  const digest = sha256(Buffer.from(text))
  const other = signer === stranger ? sender : stranger
  const made = (what: string | Uint8Array, foreign: Foreign = {}): Portable =>
    partsOf(signer, what, label, foreign)
  const rootDer = compactToDer(curve.sign(digest, privateKey(signer)))
  return [
    [
      'counterparty-self',
      'made for the signer himself',
      join(made(text, { counterparty: signer.publicKey }))
    ],
    [
      'counterparty-recipient',
      'made for one counterparty',
      join(made(text, { counterparty: recipient.publicKey }))
    ],
    [
      'by-anyone',
      'made with private key 1 towards the signer, as everybody can',
      join(made(text, { by: anyone, counterparty: signer.publicKey }))
    ],
    [
      'by-root-key',
      'made with the identity key itself, without derivation',
      join({ ...made(text), der: rootDer })
    ],
    ['digest-twice', 'made over the SHA-256 of the text, hashed once more', join(made(digest))],
    ['by-another', 'of another signer, named as such', join(partsOf(other, text, label))],
    ['by-another-in-his-name', 'of another signer, who names this one', join(made(text, { by: other }))],
    ['in-anothers-name', 'of this signer, naming another', join({ ...made(text), signer: other.publicKey })],
    ['by-a-stranger-host', 'of a host that is nobody here', join(partsOf(otherHost, text, label))],
    [
      'forged-from-public-key',
      'made from the public key alone: it verifies under that key plus an offset of the forger’s choice',
      join({ ...made(text), der: compactToDer(forge(signer.publicKey, digest).compact) })
    ]
  ]
}

function ofOtherLayout(parts: Portable): BrokenPortable[] {
  const { signer, keyId } = parts
  const changes: [name: string, what: string, change: Partial<Portable>][] = [
    ...['42423300', '42423302', '42423201', '01334242', '424233', ''].map(
      (version): [string, string, Partial<Portable>] => [
        `version-${version || 'none'}`,
        `with version ${version || 'left out'}`,
        { version: Buffer.from(version, 'hex') }
      ]
    ),
    ['verifier-01', 'with verifier 01', { verifier: Buffer.of(1) }],
    ['verifier-none', 'with no verifier', { verifier: Buffer.alloc(0) }],
    ['verifier-key', 'with a key for verifier', { verifier: recipient.publicKey }],
    ['verifier-anyone-key', 'with 1·G for verifier', { verifier: ANYONE_PUBLIC_KEY }],
    ['signer-negated', 'with the negated key for signer', { signer: negated(signer) }],
    [
      'signer-off-curve',
      'with a signer that is no key',
      { signer: Buffer.from(`02${'5'.padStart(64, '0')}`, 'hex') }
    ],
    ['signer-x-only', 'with a signer of 32 bytes', { signer: signer.subarray(1) }],
    ['key-id-changed', 'with another key id', { keyId: flipped(keyId, 0) }],
    ['key-id-changed-at-end', 'with another last bit of the key id', { keyId: flipped(keyId, 31) }],
    ['key-id-31-bytes', 'with a key id of 31 bytes', { keyId: keyId.subarray(1) }],
    ['key-id-33-bytes', 'with a key id of 33 bytes', { keyId: Buffer.concat([keyId, Buffer.of(0)]) }]
  ]
  return changes.map(([name, what, change]) => [name, what, join({ ...parts, ...change })])
}

function otherwiseSpelled(base64: string): BrokenPortable[] {
  const bytes = Buffer.from(base64, 'base64')
  const spellings: BrokenPortable[] = [
    ['empty', 'empty', ''],
    ['not-base64', 'no base64', '!'.repeat(128)],
    ['hex', 'in hex', bytes.toString('hex')],
    ['base64url', 'in base64url', bytes.toString('base64url')],
    ['without-padding', 'without padding', base64.replace(/=+$/, '')],
    ['padded-more', 'with more padding', `${base64}=`],
    ['blank-before', 'with a blank before it', ` ${base64}`],
    ['line-break-inside', 'with a line break in it', `${base64.slice(0, 64)}\n${base64.slice(64)}`],
    ['line-break-behind', 'with a line break behind it', `${base64}\n`],
    ['twice', 'twice', base64 + base64],
    ['truncated', 'cut off in the middle', base64.slice(0, 96)],
    ['four-characters-less', 'without its last four characters', base64.slice(0, -4)],
    ['four-characters-more', 'with four characters more', `AAAA${base64}`],
    ['as-number-array', 'as a JSON array of numbers', JSON.stringify([...bytes.subarray(0, 20)])]
  ]
  return spellings.filter(([, , spelling]) => spelling !== base64)
}

/** The same x, the other y: the public key of the negated private key. */
export function negated(publicKey: Uint8Array): Uint8Array {
  return publicKey.map((byte, index) => (index === 0 ? byte ^ 1 : byte))
}

export function flipped(bytes: Uint8Array, at: number, mask = 1): Uint8Array {
  return bytes.map((byte, index) => (index === at ? byte ^ mask : byte))
}

/** Bytes that are no strict DER signature, made from one whose r and s are right. */
export function looseDer(der: Uint8Array): Broken[] {
  const longer = Buffer.concat([Buffer.of(0x30, der.length - 1), der.subarray(2), Buffer.of(0)])
  return [...brokenDer(der), ['zero-inside-behind', longer]]
}
