import { LRUCache } from 'lru-cache'
import type { Clock } from '../../src/context.js'
import { type IdentityKey, identityKeyFromBytes } from '../../src/keys/identity-key.js'
import type { Logger } from '../../src/logger.js'
import type { Database } from '../../src/storage/database.js'
import { parseBeef } from '../../src/transactions/beef.js'
import { MalformedError } from '../../src/transactions/byte-reader.js'
import { parseTxidOnlyBeef } from '../../src/transactions/txid-only-beef.js'
import { OVERLAY_ANSWER_BYTES } from '../channel/guarded-fetch.js'
import { OutboundError } from '../channel/outbound-error.js'
import type { PeerClient } from '../channel/peer-client.js'
import { PeerError } from '../channel/peer-error.js'
import { findHeldTokens, findNextOperators, type Operator, setTokensAside } from '../storage/operators.js'
import type { Outpoint } from '../storage/overlay-outputs.js'
import { findRecipientsOfOutpoints, lockRecipients } from '../storage/tokens.js'
import { parseLookupAnswer } from './lookup-answer.js'
import { MAX_ASKED_OUTPOINTS } from './phip-query.js'
import { PHIP_SERVICE } from './topics.js'

export interface OperatorCheckOptions {
  readonly database: Database
  readonly clock: Clock
  readonly logger: Logger
  readonly peerClient: PeerClient
  /** This node's own key: it does not ask itself. */
  readonly identityKey: IdentityKey
  /** Called after the commit. */
  readonly onHostsChanged: (recipient: IdentityKey) => void
}

/** Operators asked in one round, each about so many pages of his tokens. */
const OPERATORS = 20
const PAGES = 10
const AT_ONCE = 4
/** Operators of whom is remembered how far they have been asked. */
const REMEMBERED = 1_000

const BEFORE_ALL_KEYS = Buffer.alloc(33)
const BEFORE_ALL_TOKENS: Outpoint = { txid: '00'.repeat(32), outputIndex: -1 }

/**
 * Asks each operator's own host which of his tokens are live, over a channel that proves the operator's key. GASP lists
 * no spends, so this is how a host that missed one learns of it. Nothing is spent by such a word: a token that is
 * missing from the answer is set aside until the operator lists it again.
 */
export class OperatorCheck {
  readonly #options: OperatorCheckOptions
  #lastOperator: Buffer = BEFORE_ALL_KEYS
  readonly #lastTokens = new LRUCache<string, Outpoint>({ max: REMEMBERED })

  constructor(options: OperatorCheckOptions) {
    this.#options = options
  }

  /** Asks the next operators in turn. Resolves when all of them have answered or failed. */
  async run(): Promise<void> {
    const { database, identityKey } = this.#options
    const operators = await findNextOperators(database, this.#lastOperator, OPERATORS)
    this.#lastOperator = operators.length < OPERATORS ? BEFORE_ALL_KEYS : operators.at(-1)!.operatorKey
    const next = operators.values()
    const work = async (): Promise<void> => {
      for (const operator of next) {
        const key = identityKeyFromBytes(operator.operatorKey)
        if (key !== identityKey) await this.#ask(operator, key)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
  }

  async #ask(operator: Operator, key: IdentityKey): Promise<void> {
    const { database, logger } = this.#options
    try {
      for (let pages = 0; pages < PAGES; pages++) {
        const after = this.#lastTokens.get(key) ?? BEFORE_ALL_TOKENS
        const held = await findHeldTokens(database, operator.operatorKey, after, MAX_ASKED_OUTPOINTS)
        if (held.length > 0) await this.#askAbout(operator, key, held)
        this.#lastTokens.set(key, held.length < MAX_ASKED_OUTPOINTS ? BEFORE_ALL_TOKENS : held.at(-1)!)
        if (held.length < MAX_ASKED_OUTPOINTS) return
      }
    } catch (error) {
      if (!(error instanceof PeerError || error instanceof OutboundError)) throw error
      // Silence says nothing about his tokens: deliveries to him will find out for themselves.
      logger.debug(
        { operator: key, domain: operator.domain, reason: error.message },
        'an operator cannot be asked'
      )
    }
  }

  async #askAbout(operator: Operator, key: IdentityKey, held: readonly Outpoint[]): Promise<void> {
    const { peerClient, database, clock, logger, onHostsChanged } = this.#options
    const query = { operator: key, outpoints: held.map(outpointName) }
    const host = { domain: operator.domain, operatorKey: key }
    const options = { maximumAnswerBytes: OVERLAY_ANSWER_BYTES }
    const answer = await peerClient.post(host, '/lookup', { service: PHIP_SERVICE, query }, options)
    const outputs = answer.status === 200 ? parseLookupAnswer(answer.json()) : undefined
    if (outputs === undefined) return
    const listed = new Set(outputs.map(({ beef, outputIndex }) => `${txidIn(beef)}.${outputIndex}`))
    const judged = held.map(outpoint => ({ ...outpoint, listed: listed.has(outpointName(outpoint)) }))
    const changed = await database.transaction(async tx => {
      await lockRecipients(tx, await findRecipientsOfOutpoints(tx, held))
      return setTokensAside(tx, operator.operatorKey, judged, clock.now())
    })
    if (changed.length > 0)
      logger.info({ operator: key, tokens: changed.length }, 'an operator lists other tokens')
    for (const recipient of changed) onHostsChanged(identityKeyFromBytes(recipient))
  }
}

/** Hosts of this kind answer with ids alone, others with whole transactions. */
function txidIn(beef: Uint8Array): string | undefined {
  try {
    return parseTxidOnlyBeef(beef) ?? parseBeef(beef).subject.txid
  } catch (error) {
    if (error instanceof MalformedError) return undefined
    throw error
  }
}

function outpointName({ txid, outputIndex }: Outpoint): string {
  return `${txid}.${outputIndex}`
}
