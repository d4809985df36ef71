import { LRUCache } from 'lru-cache'
import type { Network } from '../../src/config.js'
import type { Clock } from '../../src/context.js'
import type { Curve } from '../../src/curve/curve.js'
import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import type { Logger } from '../../src/logger.js'
import type { Metrics } from '../../src/metrics.js'
import type { Database } from '../../src/storage/database.js'
import { formatRoutingText } from '../phip/routing-authorization.js'
import { verifyTokenScript } from '../phip/verify-token.js'
import type { DueDelivery } from '../storage/deliveries.js'
import { findScriptBehind, type IndexedHost, refreshHost, setTokenAside } from '../storage/token-scripts.js'
import { lockRecipients } from '../storage/tokens.js'

export interface TokenCheckOptions {
  readonly database: Database
  readonly curve: Curve
  readonly network: Network
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Pick<Metrics, 'tokenPassedOver'>
}

/** What of a delivery says which entry of the index it rests on. */
export type RestingDelivery = Pick<DueDelivery, 'recipient' | 'host_key' | 'live_domain' | 'live_expression'>

/** Entries of the index that are remembered as verified, some 300 bytes each. */
const REMEMBERED = 20_000

/**
 * Verifies tokens again before something is delivered because of them (protocol section 5): the index says what a token
 * said when it was admitted, and whoever can write into the database can make it say something else. Once in a process
 * for each entry; what fails is looked at again every time.
 */
export class TokenCheck {
  readonly #options: TokenCheckOptions
  readonly #verified = new LRUCache<string, true>({ max: REMEMBERED })

  constructor(options: TokenCheckOptions) {
    this.#options = options
  }

  /**
   * Whether a token says, by its own signatures, what the index says of a recipient's host. If not, the index is put right:
   * the token is set aside, with a line in the log, and the entry made anew from the next one.
   */
  async holds(delivery: RestingDelivery & { readonly live_domain: string }): Promise<boolean> {
    const { recipient, host_key, live_domain, live_expression } = delivery
    const host: IndexedHost = {
      recipient,
      operatorKey: host_key,
      domain: live_domain,
      boxExpression: live_expression
    }
    const name = entryName(host)
    if (this.#verified.has(name)) return true
    const { database, clock, logger, metrics } = this.#options
    const behind = await findScriptBehind(database, host)
    const fault = behind === undefined ? 'no token' : this.#fault(behind, behind.script)
    if (behind !== undefined && fault === undefined && entryName(behind) === name) {
      this.#verified.set(name, true)
      return true
    }
    await database.transaction(async tx => {
      await lockRecipients(tx, [recipient])
      if (behind !== undefined && fault !== undefined) await setTokenAside(tx, behind, clock.now())
      await refreshHost(tx, recipient, host_key, clock.now())
    })
    if (fault !== undefined) {
      metrics.tokenPassedOver('not-verified')
      const operator = identityKeyFromBytes(host_key)
      const token = behind && `${behind.txid}.${behind.outputIndex}`
      logger.warn(
        { operator, domain: live_domain, token, fault },
        'the index names a host that no token vouches for; it was set aside'
      )
    }
    return false
  }

  /** Why a token does not say this. */
  #fault(host: IndexedHost, script: Buffer | null): string | undefined {
    if (script === null) return 'no script'
    const { curve, network } = this.#options
    const verified = verifyTokenScript(curve, script, network)
    if (!verified.ok) return verified.check
    const { recipient, operatorKey, domain, boxExpression = null } = verified.token
    const said: IndexedHost = {
      recipient: Buffer.from(recipient, 'hex'),
      operatorKey: Buffer.from(operatorKey, 'hex'),
      domain,
      boxExpression
    }
    return entryName(said) === entryName(host) ? undefined : 'says something else'
  }
}

/** The text that the recipient signs, which has everything but him. */
function entryName({ recipient, operatorKey, domain, boxExpression }: IndexedHost): string {
  const text = formatRoutingText({
    hostKey: identityKeyFromBytes(operatorKey),
    domain,
    boxExpression: boxExpression ?? undefined
  })
  return `${recipient.toString('hex')} ${text}`
}
