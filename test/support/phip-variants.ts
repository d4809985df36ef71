import type { TokenInvoice } from '../../federation/phip/token.js'
import type { TokenCheck } from '../../federation/phip/verify-token.js'
import type { WithdrawalCheck } from '../../federation/phip/withdrawal.js'
import type { Network } from '../../src/config.js'
import { ANYONE_PUBLIC_KEY } from '../../src/keys/key-deriver.js'
import { DOMAINS_OF_EVERY_NETWORK, DOMAINS_OF_LOCAL } from './phip-domains.js'
import {
  AUTHORIZATION,
  BOXES,
  DOMAIN,
  operator,
  otherOperator,
  type Position,
  type Recipe,
  recipient,
  tokenScript,
  withdrawalScript
} from './phip-token-builder.js'
import type { InvalidVector } from './phip-variant-list.js'
import { formVariants } from './phip-variants-forms.js'
import { scriptVariants } from './phip-variants-script.js'
import { signatureVariants } from './phip-variants-signatures.js'
import { withdrawalVariants } from './phip-withdrawal-variants.js'

interface ValidVector<Content> {
  readonly id: string
  readonly what: string
  readonly network: Network
  /** Hex. */
  readonly script: string
  readonly position: Position
  readonly content: Content
}

/** What a valid token says; keys and signature in hex, `null` for every box. */
interface TokenContent {
  readonly operatorKey: string
  readonly domain: string
  readonly recipient: string
  readonly recipientSignature: string
  readonly boxExpression: string | null
  readonly invoiceNumber: TokenInvoice
}

interface WithdrawalContent {
  readonly recipient: string
  readonly text: string
  readonly signature: string
}

/** What test/vectors/phip-tokens.json holds. */
export interface PhipVectors {
  readonly description: string
  readonly valid: ValidVector<TokenContent>[]
  readonly invalid: InvalidVector<TokenCheck>[]
  readonly withdrawals: {
    readonly valid: ValidVector<WithdrawalContent>[]
    readonly invalid: InvalidVector<WithdrawalCheck>[]
  }
}

const DESCRIPTION =
  'Locking scripts of PHIP tokens (BRC-34) and of withdrawals: those a host must take on the network named, with what they say, ' +
  'and those it must refuse, with the check that fails. Checks of a token, in the order in which the first failing one counts: ' +
  'script, identifier, field-count, operator-key, domain, recipient-key, recipient-signature-form, box-expression, locking-key, ' +
  'field-signature, recipient-signature. Of a withdrawal: script, identifier, field-count, recipient-key, text, locking-key, signature. ' +
  'Private keys are one byte 32 times: operator 11, recipient 22, another recipient 33, another operator 44.'

/** Every vector, the same each time. */
export function phipVectors(): PhipVectors {
  return {
    description: DESCRIPTION,
    valid: validTokens(),
    invalid: distinct([...scriptVariants(), ...formVariants(), ...signatureVariants()]),
    withdrawals: { valid: validWithdrawals(), invalid: withdrawalVariants() }
  }
}

/** The first of each script: two ways of breaking one may come to the same. */
function distinct<Check extends string>(vectors: InvalidVector<Check>[]): InvalidVector<Check>[] {
  const seen = new Set<string>()
  return vectors.filter(({ network, script }) => {
    const name = `${network} ${script}`
    return !seen.has(name) && seen.add(name)
  })
}

interface ValidRecipe extends Recipe {
  domain?: string
  box?: string | undefined
  invoice?: TokenInvoice
}

function validTokens(): ValidVector<TokenContent>[] {
  const vectors: ValidVector<TokenContent>[] = []
  const add = (what: string, recipe: ValidRecipe, network: Network = 'main'): void => {
    const keys = recipe.operator ?? operator
    const user = recipe.recipient ?? recipient
    const domain = recipe.domain ?? DOMAIN
    const text = Buffer.from(`${keys.identityKey} ${domain} ${recipe.box ?? 'ALL'}`)
    vectors.push({
      id: `valid/${vectors.length}`,
      what,
      network,
      script: tokenScript(recipe).toString('hex'),
      position: recipe.position ?? 'before',
      content: {
        operatorKey: keys.identityKey,
        domain,
        recipient: user.identityKey,
        recipientSignature: user.sign(text, AUTHORIZATION, ANYONE_PUBLIC_KEY).toString('hex'),
        boxExpression: recipe.box ?? null,
        invoiceNumber: recipe.invoice ?? '2-phip-1'
      }
    })
  }

  for (const invoice of ['2-phip-1', '2-PHIP-1'] as const) {
    for (const position of ['before', 'after'] as const) {
      add(`no expression, ${invoice}, key ${position}`, { invoice, position })
      add(`an expression, ${invoice}, key ${position}`, { invoice, position, box: BOXES })
    }
  }
  for (const domain of DOMAINS_OF_EVERY_NETWORK) add(`the domain ${domain}`, { domain })
  for (const domain of DOMAINS_OF_LOCAL) add(`the domain ${domain} of the local network`, { domain }, 'local')
  for (const network of ['local', 'private', 'test'] as const) add(`on network ${network}`, {}, network)
  const expressions = [
    'a',
    '~',
    ' ',
    ' a b ',
    'all',
    'ALL?',
    'é',
    '🙂',
    '^.*$',
    '(?i)inbox',
    '\\p{Greek}+',
    '[^a-z]{1,255}'
  ]
  for (const box of [...expressions, 'a'.repeat(256), 'é'.repeat(128), 'a'.repeat(75), 'a'.repeat(76)]) {
    add(`the expression ${JSON.stringify(box.slice(0, 20))}, ${Buffer.byteLength(box)} bytes`, { box })
  }
  add('an operator who is his own recipient', { recipient: operator })
  add('another operator', { operator: otherOperator, domain: 'other.example.org' })
  return vectors
}

function validWithdrawals(): ValidVector<WithdrawalContent>[] {
  const texts: ReadonlyArray<readonly [string, Network]> = [
    [`${operator.identityKey} ${DOMAIN} ALL`, 'main'],
    [`${operator.identityKey} ${DOMAIN} ${BOXES}`, 'test'],
    [`${operator.identityKey} ${DOMAIN}  a b `, 'private'],
    [`${otherOperator.identityKey} localhost:3000 .*`, 'local']
  ]
  return texts.flatMap(([text, network], index) =>
    (['before', 'after'] as const).map(position => ({
      id: `withdrawal/valid/${index}-${position}`,
      what: `withdraws ${JSON.stringify(text)}, key ${position}`,
      network,
      script: withdrawalScript({ text, position }).toString('hex'),
      position,
      content: {
        recipient: recipient.identityKey,
        text,
        signature: recipient.sign(Buffer.from(text), '1-phip withdrawal-1', ANYONE_PUBLIC_KEY).toString('hex')
      }
    }))
  )
}
