import type { Clock } from '../../src/context.js'
import type { Curve } from '../../src/curve/curve.js'
import { ApiError, unavailable } from '../../src/errors.js'
import { type IdentityKey, identityKeyBytes } from '../../src/keys/identity-key.js'
import type { KeyDeriver } from '../../src/keys/key-deriver.js'
import type { Database, Queryable } from '../../src/storage/database.js'
import { parseBeef } from '../../src/transactions/beef.js'
import type { Domain } from '../phip/domain.js'
import { formatRoutingText } from '../phip/routing-authorization.js'
import { createTokenScript, signTokenSpend } from '../phip/token.js'
import { createWithdrawalScript, type Withdrawal } from '../phip/withdrawal.js'
import { insertOverlayTransaction } from '../storage/overlay-outputs.js'
import { enqueueSubmissions } from '../storage/overlay-submissions.js'
import {
  findSpendableTokens,
  findWithdrawnRecipients,
  lockRecipients,
  type SpendableToken
} from '../storage/tokens.js'
import { findTextState } from '../storage/withdrawals.js'
import type { FundedTransaction, Funding, SpentOutput } from './funding.js'
import type { MintCeiling } from './mint-ceiling.js'
import type { OverlayHost } from './overlay-host.js'
import { textDigest } from './phip-scripts.js'
import { PHIP_TOPIC } from './topics.js'

export interface AdvertiserOptions {
  readonly database: Database
  readonly curve: Curve
  readonly clock: Clock
  readonly keys: KeyDeriver
  /** What this host's tokens name. */
  readonly domain: Domain
  readonly host: Pick<OverlayHost, 'submit'>
  readonly funding: Funding
  readonly ceiling: MintCeiling
  /** Base URLs of the overlay hosts that must learn of this host's transactions. */
  readonly peers: readonly string[]
  /** Called after a commit that left something to submit to the peers. */
  readonly onSubmissions: () => void
}

/** A routing authorization for this host, verified. */
export interface VerifiedAuthorization {
  readonly recipient: IdentityKey
  /** undefined: every box. */
  readonly boxExpression: string | undefined
  /** DER. */
  readonly recipientSignature: Uint8Array
}

const TOKEN_SATOSHIS = 1
/** Tokens of one recipient that one transaction spends. */
const MAX_SPENT = 16
/**
 * Transactions that a new token drags along at most; beyond, the old token is spent on its own. Whoever sees the token
 * for the first time verifies each of them with all before it.
 */
const MAX_ANCESTORS = 8
/** Recipients whose withdrawn tokens are spent in one go. */
const MAX_WITHDRAWN = 100
/** How often a plan is made anew because somebody else was faster. */
const MAX_PLANS = 4

/** What was planned rests on a state that is past. */
class Outdated extends Error {}

/** Makes, replaces and spends this host's own tokens (BRC-34; protocol section 5), and publishes withdrawals. */
export class Advertiser {
  readonly #options: AdvertiserOptions

  constructor(options: AdvertiserOptions) {
    this.#options = options
  }

  /**
   * @param text of an authorization of the recipient
   * @throws ApiError 409 ERR_AUTHORIZATION_WITHDRAWN if he has withdrawn it
   */
  requireStanding(recipient: IdentityKey, text: string): Promise<void> {
    return requireStanding(this.#options.database, identityKeyBytes(recipient), textDigest(text))
  }

  /**
   * Advertises that this host takes messages for the recipient. If its newest token says exactly that already, nothing
   * is made; otherwise the new token spends the ones before it.
   *
   * @param keep what must be true exactly if the token is in the index: runs in the transaction that admits it, or that
   *   finds it there, with the recipient locked; run again if that is planned anew; what it throws undoes all
   * @returns the transaction of the token, and whether it is new
   * @throws ApiError 409 ERR_AUTHORIZATION_WITHDRAWN if the recipient has withdrawn this very text; 429
   *   ERR_DAILY_CEILING; 503 ERR_NO_FUNDING
   */
  async advertise(
    authorization: VerifiedAuthorization,
    keep: (db: Queryable) => Promise<void> = async () => undefined
  ): Promise<{ txid: string; created: boolean }> {
    const { keys, domain, database, funding, ceiling } = this.#options
    const { boxExpression, recipientSignature } = authorization
    const recipient = identityKeyBytes(authorization.recipient)
    const digest = textDigest(formatRoutingText({ hostKey: keys.identityKey, domain, boxExpression }))
    const script = { domain, recipient: authorization.recipient, recipientSignature, boxExpression }
    return replanned(async () => {
      await requireStanding(database, recipient, digest)
      const tokens = await this.#ownTokens(database, recipient)
      const [newest] = tokens
      const stillPlanned = async (db: Queryable): Promise<void> => {
        await requireStanding(db, recipient, digest)
        await this.#requireUnchanged(db, recipient, tokens)
        await keep(db)
      }
      if (newest?.textDigest.equals(digest)) {
        await database.transaction(async tx => {
          await lockRecipients(tx, [recipient])
          await stillPlanned(tx)
        })
        return { txid: newest.txid, created: false }
      }
      const output = { lockingScript: createTokenScript(keys, script), satoshis: TOKEN_SATOSHIS }
      const isLong = ancestors(tokens) > MAX_ANCESTORS
      const made = await ceiling.within('token', async () => {
        const funded = await funding.fund([output], isLong ? [] : this.#spends(tokens))
        await this.#publish(funded, stillPlanned)
        return funded
      })
      // The new token is the newest by now, so nobody misses the old one.
      if (isLong) await this.#publish(await funding.fund([], this.#spends(tokens)))
      return { txid: made.txid, created: true }
    })
  }

  /**
   * Spends this host's tokens for a recipient.
   *
   * @returns ids of the spending transactions; none if there was no token
   * @throws ApiError 503 ERR_NO_FUNDING
   */
  revoke(recipient: IdentityKey): Promise<string[]> {
    return this.#spendAll(identityKeyBytes(recipient), () => true)
  }

  /**
   * Spends those of this host's tokens whose text their recipient has withdrawn, wherever he did (protocol section 5: the
   * host named honours it).
   *
   * @throws ApiError 503 ERR_NO_FUNDING
   */
  async spendWithdrawn(): Promise<void> {
    const { database, keys } = this.#options
    for (const recipient of await findWithdrawnRecipients(database, keys.publicKey, MAX_WITHDRAWN)) {
      await this.#spendAll(recipient, ({ withdrawn }) => withdrawn)
    }
  }

  /**
   * Publishes a withdrawal, which voids the recipient's tokens of that text everywhere.
   *
   * @param withdrawal verified
   * @returns its transaction; undefined if there was one of this text, or this index has seen no token with it
   * @throws ApiError 429 ERR_DAILY_CEILING; 503 ERR_NO_FUNDING
   */
  async publishWithdrawal(withdrawal: Withdrawal): Promise<string | undefined> {
    const { database, curve, funding, ceiling } = this.#options
    const text = {
      recipient: identityKeyBytes(withdrawal.recipient),
      textDigest: textDigest(withdrawal.text)
    }
    const isWanted = async (db: Queryable): Promise<boolean> => {
      const { seen, withdrawn } = await findTextState(db, text)
      return seen && !withdrawn
    }
    if (!(await isWanted(database))) return undefined
    const lockingScript = createWithdrawalScript(curve, withdrawal)
    try {
      return await ceiling.within('withdrawal', async () => {
        const made = await funding.fund([{ lockingScript, satoshis: TOKEN_SATOSHIS }], [])
        await this.#publish(made, async db => {
          if (!(await isWanted(db))) throw new Outdated()
        })
        return made.txid
      })
    } catch (error) {
      if (error instanceof Outdated) return undefined
      throw error
    }
  }

  async #spendAll(recipient: Buffer, which: (token: SpendableToken) => boolean): Promise<string[]> {
    const txids: string[] = []
    let txid = await this.#spendSome(recipient, which)
    while (txid !== undefined) {
      txids.push(txid)
      txid = await this.#spendSome(recipient, which)
    }
    return txids
  }

  #spendSome(recipient: Buffer, which: (token: SpendableToken) => boolean): Promise<string | undefined> {
    return replanned(async () => {
      const tokens = await this.#ownTokens(this.#options.database, recipient)
      const chosen = tokens.filter(which)
      if (chosen.length === 0) return undefined
      const made = await this.#options.funding.fund([], this.#spends(chosen))
      await this.#publish(made, db => this.#requireUnchanged(db, recipient, tokens))
      return made.txid
    })
  }

  /**
   * Into the own index and the list of what peers must get, in one commit.
   *
   * @param before runs with the recipient locked
   */
  async #publish(made: FundedTransaction, before?: (db: Queryable) => Promise<void>): Promise<void> {
    const { host, peers, clock, onSubmissions } = this.#options
    await host.submit(made.beef, {
      ...(before === undefined ? {} : { before }),
      async after(db) {
        if (peers.length === 0) return
        await insertOverlayTransaction(db, made.txid, made.beef)
        await enqueueSubmissions(db, PHIP_TOPIC, made.txid, peers, clock.now())
      }
    })
    if (peers.length > 0) onSubmissions()
  }

  #ownTokens(db: Queryable, recipient: Buffer): Promise<SpendableToken[]> {
    return findSpendableTokens(db, this.#options.keys.publicKey, recipient, MAX_SPENT)
  }

  async #requireUnchanged(
    db: Queryable,
    recipient: Buffer,
    tokens: readonly SpendableToken[]
  ): Promise<void> {
    const now = await this.#ownTokens(db, recipient)
    const isSame =
      now.length === tokens.length && now.every(({ txid }, index) => txid === tokens[index]?.txid)
    if (!isSame) throw new Outdated()
  }

  #spends(tokens: readonly SpendableToken[]): SpentOutput[] {
    const { keys } = this.#options
    return tokens.map(({ txid, outputIndex, beef }) => ({
      txid,
      outputIndex,
      beef,
      sign: digest => signTokenSpend(keys, digest)
    }))
  }
}

async function requireStanding(db: Queryable, recipient: Buffer, digest: Buffer): Promise<void> {
  if (!(await findTextState(db, { recipient, textDigest: digest })).void) return
  throw new ApiError(
    409,
    'ERR_AUTHORIZATION_WITHDRAWN',
    'The recipient has withdrawn this authorization. Sign another text to return, for instance with the box expression ".*".'
  )
}

function ancestors(tokens: readonly SpendableToken[]): number {
  return tokens.reduce((sum, { beef }) => sum + parseBeef(beef).transactions.length, 0)
}

async function replanned<T>(plan: () => Promise<T>): Promise<T> {
  for (let plans = 1; ; plans++) {
    try {
      return await plan()
    } catch (error) {
      if (!(error instanceof Outdated)) throw error
      if (plans === MAX_PLANS)
        throw unavailable('ERR_BUSY', 'Too many changes for this recipient at once; try again.')
    }
  }
}
