import type {
  LookupFormula,
  LookupQuestion,
  LookupService,
  OutputAdmittedByTopic,
  OutputSpent
} from '@bsv/overlay'
import type { Curve } from '../../src/curve/curve.js'
import { badRequest } from '../../src/errors.js'
import { identityKeyBytes, parseIdentityKey } from '../../src/keys/identity-key.js'
import type { Queryable } from '../../src/storage/database.js'
import {
  findAdvertisements,
  forgetAdvertisement,
  insertAdvertisement,
  markAdvertisementSpent
} from '../storage/messagebox-hosts.js'
import { type FoundOutput, findUnspentOutputs } from '../storage/tokens.js'
import { MESSAGEBOX_SERVICE_DESCRIPTION, type ServiceDescription } from './documentation.js'
import { boundedAnswer } from './lookup-service.js'
import type { MessageBoxScripts } from './messagebox-scripts.js'
import { parseOutpoints } from './phip-query.js'
import type { OverlayStorage } from './storage.js'
import { MESSAGEBOX_TOPIC } from './topics.js'

/** Hosts in one answer: stock clients ask each of them for every list. */
const MAX_HOSTS = 16
const LONGEST_HOST = 256

export interface MessageBoxLookupServiceOptions {
  readonly db: Queryable
  readonly storage: OverlayStorage
  readonly curve: Curve
  readonly scripts: MessageBoxScripts
  /** Of this node. */
  readonly domain: string
  /** ms */
  readonly now: number
}

/** `ls_messagebox`: keeps the index of host advertisements and answers from it. */
export class MessageBoxLookupService implements LookupService {
  readonly admissionMode = 'locking-script'
  readonly spendNotificationMode = 'txid'
  readonly #options: MessageBoxLookupServiceOptions

  constructor(options: MessageBoxLookupServiceOptions) {
    this.#options = options
  }

  async outputAdmittedByTopic(payload: OutputAdmittedByTopic): Promise<void> {
    if (payload.topic !== MESSAGEBOX_TOPIC || payload.mode !== 'locking-script') return
    const { db, scripts, domain, now } = this.#options
    const script = Uint8Array.from(payload.lockingScript.toBinary())
    const advertisement = scripts.recognize(payload.txid, payload.outputIndex, script)
    if (advertisement !== undefined) {
      await insertAdvertisement(db, advertisement, advertisement.domain === domain, now)
    }
  }

  async outputSpent(payload: OutputSpent): Promise<void> {
    if (payload.topic !== MESSAGEBOX_TOPIC || payload.mode !== 'txid') return
    await markAdvertisementSpent(this.#options.db, payload, payload.spendingTxid, this.#options.now)
  }

  async outputEvicted(txid: string, outputIndex: number): Promise<void> {
    await forgetAdvertisement(this.#options.db, { txid, outputIndex })
  }

  /** @throws ApiError 400 ERR_INVALID_QUERY */
  async lookup({ query }: LookupQuestion): Promise<LookupFormula> {
    const found = boundedAnswer(await this.#find(query))
    for (const output of found) this.#options.storage.prepare(output)
    return found.map(({ txid, outputIndex }) => ({ txid, outputIndex }))
  }

  async getDocumentation(): Promise<string> {
    return MESSAGEBOX_SERVICE_DESCRIPTION.documentation
  }

  async getMetaData(): Promise<ServiceDescription> {
    return MESSAGEBOX_SERVICE_DESCRIPTION
  }

  async #find(query: unknown): Promise<FoundOutput[]> {
    const { db, curve } = this.#options
    if (typeof query !== 'object' || query === null) throw invalid('it is an object')
    const asked: { identityKey?: unknown; host?: unknown; outpoints?: unknown } = query
    if (asked.identityKey === undefined && asked.outpoints !== undefined) {
      return findUnspentOutputs(db, MESSAGEBOX_TOPIC, parseOutpoints(asked.outpoints))
    }
    const identityKey = parseIdentityKey(curve, asked.identityKey)
    if (identityKey === undefined) {
      throw invalid('"identityKey" is 66 hex characters of a compressed public key')
    }
    const host = asked.host ?? undefined
    if (
      host !== undefined &&
      (typeof host !== 'string' || host.length > LONGEST_HOST || host.includes('\0'))
    ) {
      throw invalid(`"host" is a URL of at most ${LONGEST_HOST} characters`)
    }
    return findAdvertisements(db, identityKeyBytes(identityKey), host, MAX_HOSTS)
  }
}

function invalid(rule: string): Error {
  return badRequest('ERR_INVALID_QUERY', `The query cannot be answered: ${rule}.`)
}
