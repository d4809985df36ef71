import { compactToDer } from '../../src/curve/der.js'
import { ANYONE_PUBLIC_KEY } from '../../src/keys/key-deriver.js'
import { brokenDer, brokenKeys, forge } from './phip-broken-bytes.js'
import {
  AUTHORIZATION,
  BOXES,
  curve,
  DOMAIN,
  highS,
  operator,
  otherOperator,
  otherRecipient,
  type Recipe,
  recipient,
  sha256,
  tokenFields
} from './phip-token-builder.js'
import { BASES, VariantList } from './phip-variant-list.js'

const UPPER_CASE_LOCK = operator.ownPublicKey(ANYONE_PUBLIC_KEY, '2-PHIP-1')
const LOCK = operator.ownPublicKey(ANYONE_PUBLIC_KEY, '2-phip-1')

/** Variants whose fields all have the right form, under a lock or a signature that is not theirs. */
export function signatureVariants(): VariantList['vectors'] {
  const list = new VariantList()
  otherLockingKeys(list)
  otherInvoices(list)
  brokenFieldSignatures(list)
  fieldsChangedAfterSigning(list)
  otherTexts(list)
  otherRecipientSignatures(list)
  copies(list)
  forgeries(list)
  return list.vectors
}

function otherLockingKeys(list: VariantList): void {
  const keys: ReadonlyArray<readonly [string, string, Uint8Array]> = [
    ['operator-itself', 'the operator key itself', operator.publicKey],
    ['anyone', 'the key whose private key is 1', ANYONE_PUBLIC_KEY],
    [
      'anyone-derived',
      'the key that everybody can spend: what PushDrop of @bsv/sdk locks to without forSelf',
      operator.counterpartyPublicKey(ANYONE_PUBLIC_KEY, '2-phip-1')
    ],
    ['self-derived', 'the key with counterparty self', operator.ownPublicKey(operator.publicKey, '2-phip-1')],
    ['with-recipient', 'the key with the recipient', operator.ownPublicKey(recipient.publicKey, '2-phip-1')],
    ['of-recipient', 'the recipient’s child key', recipient.ownPublicKey(ANYONE_PUBLIC_KEY, '2-phip-1')],
    [
      'of-another-operator',
      'another operator’s child key',
      otherOperator.ownPublicKey(ANYONE_PUBLIC_KEY, '2-phip-1')
    ],
    ['other-parity', 'the child key with the other prefix', flipped(LOCK, 0, 1)],
    ['last-bit', 'the child key with another last bit', flipped(LOCK, 32, 1)],
    [
      'last-bit-of-upper-case',
      'the child key of 2-PHIP-1 with another last bit',
      flipped(UPPER_CASE_LOCK, 32, 1)
    ]
  ]
  for (const [name, what, lockingKey] of keys)
    list.addToBoth('locking-key', name, `locked to ${what}`, { lockingKey })
  for (const [name, lockingKey] of brokenKeys(LOCK)) {
    if (lockingKey.length !== 33) continue
    list.add('locking-key', `broken-${name}`, 'locked to 33 bytes that are no public key', { lockingKey })
  }
}

function otherInvoices(list: VariantList): void {
  const invoices = [
    '2-Phip-1',
    '2-pHIP-1',
    '2-phip-2',
    '2-PHIP-2',
    '2-phip-0',
    '2-phip-01',
    '2-phip-',
    '2-phip',
    '2-phip-1 ',
    ' 2-phip-1',
    '1-phip-1',
    '0-phip-1',
    '3-phip-1',
    '2-slap-1',
    '2-SHIP-1',
    '2-phip authorization-1',
    '1-phip authorization-1',
    '1-phip withdrawal-1',
    '2-peerserv proof-1',
    'phip',
    ''
  ]
  for (const [index, invoice] of invoices.entries()) {
    const what = `locked and signed under the invoice number ${JSON.stringify(invoice)}`
    list.add('locking-key', `invoice-${index}`, what, { invoice })
    list.add(
      'field-signature',
      `invoice-${index}`,
      `signed under the invoice number ${JSON.stringify(invoice)}`,
      {
        box: BOXES,
        fieldSignature: (_, joined) => operator.sign(joined, invoice, ANYONE_PUBLIC_KEY)
      }
    )
  }
  for (const [lock, sign] of [
    ['2-phip-1', '2-PHIP-1'],
    ['2-PHIP-1', '2-phip-1']
  ] as const) {
    list.addToBoth(
      'field-signature',
      `lock-${lock}-signature-${sign}`,
      `locked under ${lock}, signed under ${sign}`,
      {
        invoice: lock,
        fieldSignature: (_, joined) => operator.sign(joined, sign, ANYONE_PUBLIC_KEY)
      }
    )
  }
}

function brokenFieldSignatures(list: VariantList): void {
  const names = brokenDer(operator.sign(Buffer.of(), 'any', recipient.publicKey)).map(([name]) => name)
  for (const [index, name] of names.entries()) {
    list.add('field-signature', name, 'the signature over the fields is no strict DER', {
      fieldSignature: der => brokenDer(der)[index]![1]
    })
  }
  list.addToBoth('field-signature', 'high-s', 'a signature with a high s', { fieldSignature: highS })
  const signers: ReadonlyArray<readonly [string, (joined: Buffer) => Uint8Array]> = [
    ['by-operator-itself', joined => compactToDer(curve.sign(sha256(joined), Buffer.alloc(32, 0x11)))],
    ['by-recipient', joined => recipient.sign(joined, '2-phip-1', ANYONE_PUBLIC_KEY)],
    ['by-another-operator', joined => otherOperator.sign(joined, '2-phip-1', ANYONE_PUBLIC_KEY)],
    ['towards-recipient', joined => operator.sign(joined, '2-phip-1', recipient.publicKey)],
    ['over-nothing', () => operator.sign(Buffer.of(), '2-phip-1', ANYONE_PUBLIC_KEY)],
    ['over-hash', joined => operator.sign(sha256(joined), '2-phip-1', ANYONE_PUBLIC_KEY)],
    ['over-identifier', () => operator.sign(Buffer.from('PHIP'), '2-phip-1', ANYONE_PUBLIC_KEY)],
    ['over-less', joined => operator.sign(joined.subarray(0, -1), '2-phip-1', ANYONE_PUBLIC_KEY)],
    [
      'over-more',
      joined => operator.sign(Buffer.concat([joined, Buffer.of(0)]), '2-phip-1', ANYONE_PUBLIC_KEY)
    ]
  ]
  for (const [name, sign] of signers) {
    list.addToBoth('field-signature', name, `a signature ${name.replaceAll('-', ' ')}`, {
      fieldSignature: (_, joined) => sign(joined)
    })
  }
}

/** Each field changed into another that has its form, with all that the recipient signs fitting again. */
function fieldsChangedAfterSigning(list: VariantList): void {
  for (const [base, start] of BASES) {
    const changes: ReadonlyArray<readonly [string, Recipe]> = [
      ['domain', { domain: 'peerserv.example.com' }],
      ['domain-shorter', { domain: 'peerserv.example.or' }],
      ['recipient', { recipient: otherRecipient }],
      ['expression', { box: '.*' }],
      ['expression-one-more', { box: `${start.box ?? ''}$` }]
    ]
    for (const [name, change] of changes) {
      list.add(
        'field-signature',
        `${name}-changed/${base}`,
        `changed after the operator had signed: ${name}`,
        {
          ...start,
          signedFields: signed => [...tokenFields({ ...start, ...change }).slice(0, -1), signed.at(-1)!]
        }
      )
    }
    for (const at of [8, 20, 50, 60]) {
      list.add(
        'field-signature',
        `bit-in-byte-${at}/${base}`,
        `one bit of byte ${at} of the signature flipped`,
        {
          ...start,
          fieldSignature: der => flipped(der, at, 0x10)
        }
      )
      list.add(
        'recipient-signature',
        `bit-in-byte-${at}/${base}`,
        `one bit of byte ${at} of the signature flipped`,
        {
          ...start,
          recipientSignature: der => flipped(der, at, 0x10)
        }
      )
    }
  }
}

/** The recipient signed another text than the one the fields make. */
function otherTexts(list: VariantList): void {
  const host = operator.identityKey
  for (const [base, start] of BASES) {
    const boxes = start.box === undefined ? 'ALL' : BOXES
    const texts: readonly string[] = [
      '',
      ' ',
      'ALL',
      `${host} ${DOMAIN}`,
      `${host} ${DOMAIN} `,
      `${host} ${DOMAIN} ${boxes === 'ALL' ? BOXES : 'ALL'}`,
      `${host} ${DOMAIN} ${boxes} `,
      ` ${host} ${DOMAIN} ${boxes}`,
      `${host}  ${DOMAIN} ${boxes}`,
      `${host} ${DOMAIN}  ${boxes}`,
      `${host}\t${DOMAIN}\t${boxes}`,
      `${host} ${DOMAIN} ${boxes}\n`,
      `${host} ${DOMAIN} ${boxes.toLowerCase()}x`,
      `${host} ${DOMAIN} .*`,
      `${host} ${DOMAIN.toUpperCase()} ${boxes}`,
      `${host} ${DOMAIN}. ${boxes}`,
      `${host} https://${DOMAIN} ${boxes}`,
      `${host} ${DOMAIN}:443 ${boxes}`,
      `${host} other.example.org ${boxes}`,
      `${host.toUpperCase()} ${DOMAIN} ${boxes}`,
      `${otherOperator.identityKey} ${DOMAIN} ${boxes}`,
      `${recipient.identityKey} ${DOMAIN} ${boxes}`,
      `${DOMAIN} ${host} ${boxes}`,
      `\ufeff${host} ${DOMAIN} ${boxes}`,
      JSON.stringify([host, DOMAIN, boxes])
    ]
    for (const [index, text] of texts.entries()) {
      const what = `the recipient signed ${JSON.stringify(text)}`
      list.add('recipient-signature', `text-${index}/${base}`, what, { ...start, text })
    }
  }
}

function otherRecipientSignatures(list: VariantList): void {
  list.addToBoth('recipient-signature', 'high-s', 'a signature with a high s', { recipientSignature: highS })
  const invoices = [
    '1-PHIP authorization-1',
    '1-phip authorization-2',
    '1-phip authorization-',
    '2-phip authorization-1',
    '0-phip authorization-1',
    '1-phip  authorization-1',
    '1-phip withdrawal-1',
    '2-phip-1',
    '2-PHIP-1',
    '2-peerserv proof-1'
  ]
  for (const [index, invoice] of invoices.entries()) {
    const what = `the recipient signed under the invoice number ${JSON.stringify(invoice)}`
    list.addToBoth('recipient-signature', `invoice-${index}`, what, {
      recipientSignature: (_, text) => recipient.sign(text, invoice, ANYONE_PUBLIC_KEY)
    })
  }
  const signers: ReadonlyArray<readonly [string, (text: Buffer) => Uint8Array]> = [
    ['by-recipient-itself', text => compactToDer(curve.sign(sha256(text), Buffer.alloc(32, 0x22)))],
    ['by-operator', text => operator.sign(text, AUTHORIZATION, ANYONE_PUBLIC_KEY)],
    ['by-another-recipient', text => otherRecipient.sign(text, AUTHORIZATION, ANYONE_PUBLIC_KEY)],
    ['by-anyone', text => compactToDer(curve.sign(sha256(text), Buffer.from('01'.padStart(64, '0'), 'hex')))],
    ['towards-operator', text => recipient.sign(text, AUTHORIZATION, operator.publicKey)],
    ['towards-self', text => recipient.sign(text, AUTHORIZATION, recipient.publicKey)],
    ['over-hash', text => recipient.sign(sha256(text), AUTHORIZATION, ANYONE_PUBLIC_KEY)],
    ['over-hex', text => recipient.sign(Buffer.from(text.toString('hex')), AUTHORIZATION, ANYONE_PUBLIC_KEY)]
  ]
  for (const [name, sign] of signers) {
    list.addToBoth('recipient-signature', name, `a signature ${name.replaceAll('-', ' ')}`, {
      recipientSignature: (_, text) => sign(text)
    })
  }
}

/** What a hostile operator can do with the token of an honest one. */
function copies(list: VariantList): void {
  for (const [base, start] of BASES) {
    const text = `${operator.identityKey} ${DOMAIN} ${start.box ?? 'ALL'}`
    list.add(
      'recipient-signature',
      `copied-by-another-operator/${base}`,
      'copied, under another operator’s key',
      {
        ...start,
        operator: otherOperator,
        text
      }
    )
    list.add('recipient-signature', `copied-for-another-recipient/${base}`, 'copied, for another recipient', {
      ...start,
      recipientSignature: (_, signed) => recipient.sign(signed, AUTHORIZATION, ANYONE_PUBLIC_KEY),
      recipient: otherRecipient
    })
    list.add(
      'recipient-signature',
      `copied-to-another-domain/${base}`,
      'copied by its operator, for another domain',
      {
        ...start,
        domain: 'other.example.org',
        text
      }
    )
    list.add(
      'recipient-signature',
      `copied-with-expression/${base}`,
      'copied by its operator, for other boxes',
      {
        ...start,
        box: '.*',
        text
      }
    )
    list.add('locking-key', `copied-with-another-operator-key/${base}`, 'copied, with another operator key', {
      ...start,
      signedFields: fields => fields.with(1, otherOperator.publicKey)
    })
    list.add(
      'field-signature',
      `copied-with-another-lock/${base}`,
      'copied, with another operator’s key and lock',
      {
        ...start,
        signedFields: fields => fields.with(1, otherOperator.publicKey),
        lockingKey: otherOperator.ownPublicKey(ANYONE_PUBLIC_KEY, '2-phip-1')
      }
    )
    list.add('locking-key', `lock-of-another-operator/${base}`, 'signed and locked by another operator', {
      ...start,
      fieldSignature: (_, joined) => otherOperator.sign(joined, '2-phip-1', ANYONE_PUBLIC_KEY),
      lockingKey: otherOperator.ownPublicKey(ANYONE_PUBLIC_KEY, '2-phip-1')
    })
  }
}

/** A signature forged from a public key alone verifies under that key plus an offset which the forger computes. */
function forgeries(list: VariantList): void {
  for (const [base, start] of BASES) {
    const joined = Buffer.concat(tokenFields(start).slice(0, -1))
    const forged = forge(operator.publicKey, sha256(joined))
    list.add(
      'locking-key',
      `forged-linkage/${base}`,
      'forged under a child key with an offset of the forger’s choice',
      {
        ...start,
        fieldSignature: () => compactToDer(forged.compact),
        lockingKey: forged.childKey
      }
    )
    list.add('field-signature', `forged-linkage/${base}`, 'such a forgery under the rightful lock', {
      ...start,
      fieldSignature: () => compactToDer(forged.compact)
    })
    list.add('recipient-signature', `forged-linkage/${base}`, 'such a forgery of the recipient’s signature', {
      ...start,
      recipientSignature: (_, text) => compactToDer(forge(recipient.publicKey, sha256(text)).compact)
    })
  }
}

function flipped(bytes: Uint8Array, at: number, mask: number): Uint8Array {
  return bytes.map((byte, index) => (index === at ? byte ^ mask : byte))
}
