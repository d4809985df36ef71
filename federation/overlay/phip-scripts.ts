import { hash } from 'node:crypto'
import type { Network } from '../../src/config.js'
import type { Curve } from '../../src/curve/curve.js'
import { identityKeyBytes } from '../../src/keys/identity-key.js'
import { formatRoutingText } from '../phip/routing-authorization.js'
import { TokenVerifier } from '../phip/verify-token.js'
import { verifyWithdrawalScript } from '../phip/withdrawal.js'
import type { IndexedToken } from '../storage/tokens.js'
import type { IndexedWithdrawal } from '../storage/withdrawals.js'
import type { TopicScripts } from './topic.js'

/** What belongs into `tm_phip`, verified. */
export type PhipOutput =
  | ({ readonly kind: 'token' } & IndexedToken)
  | ({ readonly kind: 'withdrawal' } & IndexedWithdrawal)

/** First bytes of the first field, of tokens and withdrawals alike … */
const IDENTIFIER = Buffer.from('PHIP')
/** … which stands behind push and lock, or behind its push alone. */
const IDENTIFIER_OFFSETS = [36, 1]

/** Recognizes tokens and withdrawals of one network. Pure, but for what the verifier remembers. */
export class PhipScripts implements TopicScripts<PhipOutput> {
  readonly #curve: Curve
  readonly #network: Network
  readonly #tokens: TokenVerifier

  constructor(curve: Curve, network: Network) {
    this.#curve = curve
    this.#network = network
    this.#tokens = new TokenVerifier(curve, network)
  }

  /** @returns undefined for anything else, and for what does not verify */
  recognize(txid: string, outputIndex: number, script: Uint8Array): PhipOutput | undefined {
    const verified = this.#tokens.verify(script)
    if (verified.ok) {
      const { operatorKey, domain, recipient, boxExpression } = verified.token
      return {
        kind: 'token',
        txid,
        outputIndex,
        operatorKey: identityKeyBytes(operatorKey),
        domain,
        recipient: identityKeyBytes(recipient),
        boxExpression: boxExpression ?? null,
        textDigest: textDigest(formatRoutingText({ hostKey: operatorKey, domain, boxExpression }))
      }
    }
    if (verified.check !== 'identifier') return undefined
    const withdrawn = verifyWithdrawalScript(this.#curve, script, this.#network)
    if (!withdrawn.ok) return undefined
    const { recipient, text } = withdrawn.withdrawal
    const digest = textDigest(text)
    return {
      kind: 'withdrawal',
      txid,
      outputIndex,
      recipient: identityKeyBytes(recipient),
      text,
      textDigest: digest
    }
  }

  /** By the identifier, which tokens and withdrawals share. */
  looksLikeIt(script: Uint8Array): boolean {
    return IDENTIFIER_OFFSETS.some(offset =>
      IDENTIFIER.equals(script.subarray(offset, offset + IDENTIFIER.length))
    )
  }
}

/** What the index knows an authorization's text by. */
export function textDigest(text: string): Buffer {
  return hash('sha256', Buffer.from(text, 'utf8'), 'buffer')
}
