import type {
  LookupFormula,
  LookupQuestion,
  LookupService,
  OutputAdmittedByTopic,
  OutputSpent
} from '@bsv/overlay'
import type { Curve } from '../../src/curve/curve.js'
import type { Queryable } from '../../src/storage/database.js'
import { txidOnlyBeef } from '../../src/transactions/txid-only-beef.js'
import {
  type FoundOutput,
  findListedTokens,
  findTokensOfOperator,
  findTokensOfRecipient,
  findUnspentOutputs,
  forgetToken,
  insertToken,
  markTokenSpent
} from '../storage/tokens.js'
import { findWithdrawals, insertWithdrawal } from '../storage/withdrawals.js'
import { SERVICE_DESCRIPTION, type ServiceDescription } from './documentation.js'
import { parsePhipQuery } from './phip-query.js'
import type { PhipScripts } from './phip-scripts.js'
import type { OverlayStorage } from './storage.js'
import { PHIP_TOPIC } from './topics.js'

/** Outputs in one answer. */
const MAX_OUTPUTS = 100
/** Bytes of BEEF in one answer, unless the first alone is larger: JSON makes four times as much of it. */
const MAX_ANSWER_BYTES = 192 * 1024

/**
 * `ls_phip`: keeps the index of tokens and answers from it.
 *
 * It is told of spends by transaction id: in its other mode the library takes input 0 for none.
 */
export class PhipLookupService implements LookupService {
  readonly admissionMode = 'locking-script'
  readonly spendNotificationMode = 'txid'
  readonly #db: Queryable
  readonly #storage: OverlayStorage
  readonly #curve: Curve
  readonly #scripts: PhipScripts
  readonly #now: number

  /** @param now ms */
  constructor(db: Queryable, storage: OverlayStorage, curve: Curve, scripts: PhipScripts, now: number) {
    this.#db = db
    this.#storage = storage
    this.#curve = curve
    this.#scripts = scripts
    this.#now = now
  }

  async outputAdmittedByTopic(payload: OutputAdmittedByTopic): Promise<void> {
    if (payload.topic !== PHIP_TOPIC || payload.mode !== 'locking-script') return
    const script = Uint8Array.from(payload.lockingScript.toBinary())
    const output = this.#scripts.recognize(payload.txid, payload.outputIndex, script)
    if (output?.kind === 'token') await insertToken(this.#db, output, this.#now)
    if (output?.kind === 'withdrawal') await insertWithdrawal(this.#db, output, this.#now)
  }

  async outputSpent(payload: OutputSpent): Promise<void> {
    if (payload.topic === PHIP_TOPIC) await markTokenSpent(this.#db, payload, this.#now)
  }

  async outputEvicted(txid: string, outputIndex: number): Promise<void> {
    await forgetToken(this.#db, { txid, outputIndex })
  }

  /** @throws ApiError 400 ERR_INVALID_QUERY */
  async lookup({ query }: LookupQuestion): Promise<LookupFormula> {
    const found = boundedAnswer(await this.#find(query))
    for (const output of found) this.#storage.prepare(output)
    return found.map(({ txid, outputIndex }) => ({ txid, outputIndex }))
  }

  async getDocumentation(): Promise<string> {
    return SERVICE_DESCRIPTION.documentation
  }

  async getMetaData(): Promise<ServiceDescription> {
    return SERVICE_DESCRIPTION
  }

  async #find(query: unknown): Promise<FoundOutput[]> {
    const parsed = parsePhipQuery(this.#curve, query)
    switch (parsed.by) {
      case 'recipient': {
        const tokens = await findTokensOfRecipient(this.#db, parsed.recipient, MAX_OUTPUTS)
        // Tokens first: a host takes a withdrawal only of a text that it has seen.
        return [...tokens, ...(await findWithdrawals(this.#db, parsed.recipient, MAX_OUTPUTS))]
      }
      case 'operator':
        return findTokensOfOperator(this.#db, parsed.operator, MAX_OUTPUTS)
      case 'outputs':
        return findUnspentOutputs(this.#db, PHIP_TOPIC, parsed.outpoints)
      case 'outpoints': {
        const listed = await findListedTokens(this.#db, parsed.operator, parsed.outpoints)
        // Who asks holds them already, and must not take an answer that was cut off for a denial.
        return listed.map(output => ({ ...output, beef: txidOnlyBeef(output.txid) }))
      }
    }
  }
}

/** As many of the outputs as fit into one answer. */
export function boundedAnswer(found: readonly FoundOutput[]): FoundOutput[] {
  let bytes = 0
  return found.filter(({ beef }, index) => {
    bytes += beef.length
    return index === 0 || bytes <= MAX_ANSWER_BYTES
  })
}
