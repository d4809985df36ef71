import type { WithdrawalCheck } from '../../federation/phip/withdrawal.js'
import type { Network } from '../../src/config.js'
import { ANYONE_PUBLIC_KEY } from '../../src/keys/key-deriver.js'
import { BROKEN_UTF8, brokenDer, brokenKeys, STRAY_OPCODES } from './phip-broken-bytes.js'
import {
  AUTHORIZATION,
  BOXES,
  DOMAIN,
  highS,
  operator,
  otherRecipient,
  recipient,
  tokenFields,
  type WithdrawalRecipe,
  withdrawalScript
} from './phip-token-builder.js'
import type { InvalidVector } from './phip-variant-list.js'

const WITHDRAWAL = '1-phip withdrawal-1'

/** Withdrawals that must be refused, each with the check that does it. */
export function withdrawalVariants(): InvalidVector<WithdrawalCheck>[] {
  const vectors: InvalidVector<WithdrawalCheck>[] = []
  const add = (
    check: WithdrawalCheck,
    name: string,
    what: string,
    recipe: WithdrawalRecipe,
    network: Network = 'main'
  ): void => {
    const script = withdrawalScript(recipe).toString('hex')
    vectors.push({ id: `withdrawal/${check}/${name}`, what, network, script, check })
  }

  for (const [name, opcode] of STRAY_OPCODES) {
    add('script', `${name}-behind`, 'an opcode behind the script', {
      script: script => Buffer.concat([script, opcode])
    })
  }
  for (const length of [0, 35, 40, 100, 200]) {
    add('script', `first-${length}-bytes`, `cut off after ${length} bytes`, {
      script: script => script.subarray(0, length)
    })
  }
  add('script', 'too-long', 'longer than 4096 bytes', {
    fields: fields => [...fields, Buffer.alloc(4000, 0x61)]
  })
  for (const [index, text] of [
    'PHIP',
    'PHIP-withdrawn',
    'PHIP-WITHDRAWN ',
    'phip-withdrawn',
    'WITHDRAWN',
    ''
  ].entries()) {
    add('identifier', `other-${index}`, `the identifier ${JSON.stringify(text)}`, {
      fields: fields => fields.with(0, Buffer.from(text))
    })
  }
  add('identifier', 'token', 'a PHIP token', { fields: () => tokenFields({}) })
  for (const count of [1, 2, 3, 5, 6, 7, 16]) {
    add('field-count', `${count}-fields`, `${count} fields`, {
      fields: fields => [...fields, ...new Array<Buffer>(16).fill(Buffer.from('more'))].slice(0, count)
    })
  }
  add('field-count', 'signed', 'a signature over the fields behind them', {
    fields: fields => [...fields, recipient.sign(Buffer.concat(fields), WITHDRAWAL, ANYONE_PUBLIC_KEY)]
  })
  for (const [name, bytes] of brokenKeys(recipient.publicKey)) {
    add('recipient-key', name, 'the recipient key is no compressed public key', {
      fields: fields => fields.with(1, bytes)
    })
  }
  const host = operator.identityKey
  const texts = [
    '',
    'ALL',
    `${host} ${DOMAIN}`,
    `${host} ${DOMAIN} `,
    ` ${host} ${DOMAIN} ALL`,
    `${host}  ${DOMAIN} ALL`,
    `${host.toUpperCase()} ${DOMAIN} ALL`,
    `${host.slice(1)} ${DOMAIN} ALL`,
    `05${host.slice(2)} ${DOMAIN} ALL`,
    `${host} localhost:3000 ALL`,
    `${host} https://${DOMAIN} ALL`,
    `${host} ${DOMAIN} (`,
    `${host} ${DOMAIN} ALL\0`,
    `${host} ${DOMAIN} ${'a'.repeat(257)}`
  ]
  for (const [index, text] of texts.entries()) {
    add('text', `other-${index}`, `the text ${JSON.stringify(text.slice(0, 120))}`, { text })
  }
  for (const [name, bytes] of BROKEN_UTF8) {
    add('text', name, 'a text that is no UTF-8', {
      text: Buffer.concat([Buffer.from(`${host} ${DOMAIN} a`), bytes])
    })
  }
  const locks: ReadonlyArray<readonly [string, Uint8Array]> = [
    ['recipient-itself', recipient.publicKey],
    ['operator', operator.ownPublicKey(ANYONE_PUBLIC_KEY, '2-phip-1')],
    ['anyone', ANYONE_PUBLIC_KEY],
    ['anyone-derived', recipient.counterpartyPublicKey(ANYONE_PUBLIC_KEY, WITHDRAWAL)],
    ['authorization', recipient.ownPublicKey(ANYONE_PUBLIC_KEY, AUTHORIZATION)],
    ['upper-case', recipient.ownPublicKey(ANYONE_PUBLIC_KEY, '1-PHIP withdrawal-1')],
    ['another-recipient', otherRecipient.ownPublicKey(ANYONE_PUBLIC_KEY, WITHDRAWAL)]
  ]
  for (const [name, lockingKey] of locks) add('locking-key', name, 'locked to another key', { lockingKey })
  const names = brokenDer(recipient.sign(Buffer.of(), 'any', operator.publicKey)).map(([name]) => name)
  for (const [index, name] of names.entries()) {
    add('signature', name, 'the signature is no strict DER', { signature: der => brokenDer(der)[index]![1] })
  }
  add('signature', 'high-s', 'a signature with a high s', { signature: highS })
  add('signature', 'authorization', 'the signature of the authorization itself', {
    signature: (_, text) => recipient.sign(text, AUTHORIZATION, ANYONE_PUBLIC_KEY)
  })
  add('signature', 'other-recipient', 'signed by another recipient', {
    signature: (_, text) => otherRecipient.sign(text, WITHDRAWAL, ANYONE_PUBLIC_KEY)
  })
  add('signature', 'operator', 'signed by the operator', {
    signature: (_, text) => operator.sign(text, WITHDRAWAL, ANYONE_PUBLIC_KEY)
  })
  add('signature', 'other-text', 'signed over another text', {
    fields: fields => fields.with(2, Buffer.from(`${host} ${DOMAIN} ${BOXES}`))
  })
  return vectors
}
