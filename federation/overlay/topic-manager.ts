import type { AdmittanceInstructions } from '@bsv/overlay'
import type { ListKind } from '../../src/operator-lists.js'
import type { Queryable } from '../../src/storage/database.js'
import { parseBeef } from '../../src/transactions/beef.js'
import { MalformedError } from '../../src/transactions/byte-reader.js'
import type { ParsedTransaction } from '../../src/transactions/transaction.js'
import type { IndexedToken } from '../storage/tokens.js'
import { findTextState } from '../storage/withdrawals.js'
import { type ServiceDescription, TOPIC_DESCRIPTION } from './documentation.js'
import type { PhipOutput, PhipScripts } from './phip-scripts.js'
import { instructionsFor, type TopicJudge } from './topic.js'

const NOTHING: AdmittanceInstructions = { outputsToAdmit: [], coinsToRetain: [] }

/** Why the operator of this node wants no such token in the index; undefined if he does not mind. */
export type TokenRefusal = (token: IndexedToken) => ListKind | undefined

/**
 * `tm_phip`: admits PHIP tokens that verify and that the operator does not block, and withdrawals that verify, of a text that was seen in a valid token,
 * once per text. Never retains a coin: nobody needs the history of a token.
 */
export class PhipTopicManager implements TopicJudge<PhipOutput> {
  readonly #db: Queryable
  readonly #scripts: PhipScripts
  readonly #refusalOf: TokenRefusal

  constructor(db: Queryable, scripts: PhipScripts, refusalOf: TokenRefusal = () => undefined) {
    this.#db = db
    this.#scripts = scripts
    this.#refusalOf = refusalOf
  }

  async identifyAdmissibleOutputs(beef: number[]): Promise<AdmittanceInstructions> {
    let transaction: ParsedTransaction
    try {
      transaction = parseBeef(Uint8Array.from(beef)).subject
    } catch (error) {
      if (error instanceof MalformedError) return NOTHING
      throw error
    }
    return instructionsFor(this, this.#scripts, transaction)
  }

  /** Those of one transaction's outputs that are admitted now. */
  async admissible(outputs: readonly PhipOutput[]): Promise<PhipOutput[]> {
    const admitted: PhipOutput[] = []
    for (const output of outputs) {
      const isAdmitted =
        output.kind === 'token'
          ? this.#refusalOf(output) === undefined
          : await this.#isFirstWithdrawal(output, admitted)
      if (isAdmitted) admitted.push(output)
    }
    return admitted
  }

  async getDocumentation(): Promise<string> {
    return TOPIC_DESCRIPTION.documentation
  }

  async getMetaData(): Promise<ServiceDescription> {
    return TOPIC_DESCRIPTION
  }

  async #isFirstWithdrawal(output: PhipOutput, admitted: readonly PhipOutput[]): Promise<boolean> {
    const isRepeat = admitted.some(
      other =>
        other.kind === 'withdrawal' &&
        other.recipient.equals(output.recipient) &&
        other.textDigest.equals(output.textDigest)
    )
    if (isRepeat) return false
    const { seen, withdrawn } = await findTextState(this.#db, output)
    return seen && !withdrawn
  }
}
