import type { AdmittanceInstructions } from '@bsv/overlay'
import type { Queryable } from '../../src/storage/database.js'
import { parseBeef } from '../../src/transactions/beef.js'
import { MalformedError } from '../../src/transactions/byte-reader.js'
import type { ParsedTransaction } from '../../src/transactions/transaction.js'
import { countCopies, type IndexedAdvertisement } from '../storage/messagebox-hosts.js'
import { MESSAGEBOX_TOPIC_DESCRIPTION, type ServiceDescription } from './documentation.js'
import type { MessageBoxScripts } from './messagebox-scripts.js'
import { instructionsFor, type TopicJudge } from './topic.js'

/** Unspent outputs with which one identity names one host: anybody can copy what it signed into outputs of his own. */
const MAX_COPIES = 4

/**
 * `tm_messagebox`: admits host advertisements that verify, a few of each identity for each host. Never retains a coin:
 * what is spent is taken back.
 */
export class MessageBoxTopicManager implements TopicJudge<IndexedAdvertisement> {
  readonly #db: Queryable
  readonly #scripts: MessageBoxScripts
  readonly #isRefused: (advertisement: IndexedAdvertisement) => boolean

  constructor(
    db: Queryable,
    scripts: MessageBoxScripts,
    isRefused: (advertisement: IndexedAdvertisement) => boolean
  ) {
    this.#db = db
    this.#scripts = scripts
    this.#isRefused = isRefused
  }

  async identifyAdmissibleOutputs(beef: number[]): Promise<AdmittanceInstructions> {
    let transaction: ParsedTransaction
    try {
      transaction = parseBeef(Uint8Array.from(beef)).subject
    } catch (error) {
      if (error instanceof MalformedError) return { outputsToAdmit: [], coinsToRetain: [] }
      throw error
    }
    return instructionsFor(this, this.#scripts, transaction)
  }

  async admissible(outputs: readonly IndexedAdvertisement[]): Promise<IndexedAdvertisement[]> {
    const admitted: IndexedAdvertisement[] = []
    for (const output of outputs) {
      if (this.#isRefused(output)) continue
      const beside = admitted.filter(
        ({ host, recipient }) => host === output.host && recipient.equals(output.recipient)
      ).length
      if ((await countCopies(this.#db, output)) + beside < MAX_COPIES) admitted.push(output)
    }
    return admitted
  }

  async getDocumentation(): Promise<string> {
    return MESSAGEBOX_TOPIC_DESCRIPTION.documentation
  }

  async getMetaData(): Promise<ServiceDescription> {
    return MESSAGEBOX_TOPIC_DESCRIPTION
  }
}
