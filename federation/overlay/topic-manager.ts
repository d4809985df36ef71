import type { AdmittanceInstructions, TopicManager } from '@bsv/overlay'
import type { Queryable } from '../../src/storage/database.js'
import { findTextState } from '../storage/withdrawals.js'
import { parseBeef } from './beef.js'
import { MalformedError } from './byte-reader.js'
import { type ServiceDescription, TOPIC_DESCRIPTION } from './documentation.js'
import type { PhipOutput, PhipScripts } from './phip-scripts.js'
import type { ParsedTransaction } from './transaction.js'

const NOTHING: AdmittanceInstructions = { outputsToAdmit: [], coinsToRetain: [] }

/**
 * `tm_phip`: admits PHIP tokens that verify, and withdrawals that verify, of a text that was seen in a valid token,
 * once per text. Never retains a coin: nobody needs the history of a token.
 */
export class PhipTopicManager implements TopicManager {
  readonly #db: Queryable
  readonly #scripts: PhipScripts

  constructor(db: Queryable, scripts: PhipScripts) {
    this.#db = db
    this.#scripts = scripts
  }

  async identifyAdmissibleOutputs(beef: number[]): Promise<AdmittanceInstructions> {
    let transaction: ParsedTransaction
    try {
      transaction = parseBeef(Uint8Array.from(beef)).subject
    } catch (error) {
      if (error instanceof MalformedError) return NOTHING
      throw error
    }
    const outputs = await this.admissible(this.#scripts.recognizeAll(transaction))
    return { outputsToAdmit: outputs.map(({ outputIndex }) => outputIndex), coinsToRetain: [] }
  }

  /** Those of one transaction's outputs that are admitted now. */
  async admissible(outputs: readonly PhipOutput[]): Promise<PhipOutput[]> {
    const admitted: PhipOutput[] = []
    for (const output of outputs) {
      if (output.kind === 'token' || (await this.#isFirstWithdrawal(output, admitted))) admitted.push(output)
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
