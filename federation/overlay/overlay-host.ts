import type { Engine, LookupService } from '@bsv/overlay'
import { badRequest } from '../../src/errors.js'
import { type Beef, mergeBeefs, parseBeef } from '../../src/transactions/beef.js'
import { ByteReader, MalformedError, varInt } from '../../src/transactions/byte-reader.js'
import type { Outpoint } from '../storage/overlay-outputs.js'
import type { Admittance } from '../storage/overlay-progress.js'
import { type Advertisement, AdvertisementService } from './advertisements.js'
import { SHIP_DESCRIPTION, SLAP_DESCRIPTION } from './documentation.js'
import { createEngine } from './engine.js'
import { type GaspNode, GaspServer, type ScoredOutpoint } from './gasp-server.js'
import type { MessageBoxTopic } from './messagebox-topic.js'
import type { PhipTopic } from './phip-topic.js'
import { OverlayStorage } from './storage.js'
import { invalidBeef } from './submission.js'
import { type SubmitOptions, Submitter, type SubmitterOptions } from './submitter.js'
import { Turnstile } from './turnstile.js'

export interface OverlayHostOptions extends SubmitterOptions {
  readonly phip: PhipTopic
  readonly messageBoxes: MessageBoxTopic
  /** Of this host, to be found by; none on networks where nothing is made up. */
  readonly advertisements: readonly Advertisement[]
}

/** One output of a lookup's answer. */
export interface AnsweredOutput {
  readonly outputIndex: number
  readonly beef: Uint8Array
}

/** Submissions of strangers that are judged at a time, and that wait: each holds a connection to the database. */
const AT_ONCE = 4
const WAITING = 64

/** This node as an overlay host: its topics, their lookup services, and what other hosts and stock tools ask of a host. */
export class OverlayHost {
  readonly #options: OverlayHostOptions
  /** By topic. */
  readonly #submitters: ReadonlyMap<string, Pick<Submitter<never>, 'submit'>>
  readonly #phip: Pick<Submitter<never>, 'submit'>
  readonly #gasp: GaspServer
  readonly #strangers = new Turnstile(AT_ONCE, WAITING)

  constructor(options: OverlayHostOptions) {
    this.#options = options
    this.#phip = new Submitter(options, options.phip)
    this.#submitters = new Map([
      [options.phip.name, this.#phip],
      [options.messageBoxes.name, new Submitter(options, options.messageBoxes)]
    ])
    this.#gasp = new GaspServer(options.database)
  }

  /** As `Submitter.submit` for `tm_phip`: this node's own transactions and what it fetches itself. */
  submit(beef: Uint8Array, options?: SubmitOptions): Promise<Admittance> {
    return this.#phip.submit(beef, options)
  }

  /** As `submit`, for a topic of this host. */
  submitTo(topic: string, beef: Uint8Array, options?: SubmitOptions): Promise<Admittance> {
    return this.#submitterOf(topic).submit(beef, options)
  }

  /**
   * BRC-22 `/submit`.
   *
   * @param body BEEF; framed: its length as VarInt, BEEF, and values that are on no chain, of which no topic here needs any
   * @param topics one at least; all must be topics of this host
   * @returns the answer for each topic
   * @throws ApiError 400 ERR_UNKNOWN_TOPIC, 503 ERR_BUSY, and as `Submitter.submit`
   */
  async submitForStranger(
    body: Uint8Array,
    topics: readonly string[],
    isFramed: boolean
  ): Promise<Record<string, Admittance>> {
    const submitters = new Map(topics.map(topic => [topic, this.#submitterOf(topic)]))
    const beef = isFramed ? unframe(body) : body
    return this.#strangers.pass(async () => {
      const steak: Record<string, Admittance> = {}
      for (const [topic, submitter] of submitters) steak[topic] = await submitter.submit(beef)
      return steak
    })
  }

  /**
   * BRC-24 `/lookup`.
   *
   * @throws ApiError 400 ERR_UNKNOWN_SERVICE or ERR_INVALID_QUERY
   */
  async lookup(service: string, query: unknown): Promise<AnsweredOutput[]> {
    const engine = this.#engine()
    if (!Object.hasOwn(engine.lookupServices, service)) throw unknownService(service)
    const answer = await engine.lookup({ service, query })
    return answer.outputs.map(({ beef, outputIndex }) => ({ beef: Uint8Array.from(beef), outputIndex }))
  }

  /** All of an answer in one BEEF (wire format of `X-Aggregation: yes`); undefined if one has no transaction in it. */
  aggregate(outputs: readonly AnsweredOutput[]): Buffer | undefined {
    const beefs: Beef[] = []
    const parts: Buffer[] = [varInt(outputs.length)]
    for (const { beef, outputIndex } of outputs) {
      const parsed = tryParse(beef)
      if (parsed === undefined) return undefined
      beefs.push(parsed)
      parts.push(Buffer.from(parsed.subject.txid, 'hex'), varInt(outputIndex), varInt(0))
    }
    return Buffer.concat([...parts, mergeBeefs(beefs)])
  }

  listTopicManagers(): Promise<Record<string, object>> {
    return this.#engine().listTopicManagers()
  }

  listLookupServiceProviders(): Promise<Record<string, object>> {
    return this.#engine().listLookupServiceProviders()
  }

  /** Markdown. @throws ApiError 400 ERR_UNKNOWN_TOPIC */
  async topicDocumentation(topic: string): Promise<string> {
    this.#submitterOf(topic)
    return this.#engine().getDocumentationForTopicManager(topic)
  }

  /** Markdown. @throws ApiError 400 ERR_UNKNOWN_SERVICE */
  async serviceDocumentation(service: string): Promise<string> {
    const engine = this.#engine()
    if (!Object.hasOwn(engine.lookupServices, service)) throw unknownService(service)
    return engine.getDocumentationForLookupServiceProvider(service)
  }

  /**
   * The unspent outputs of a topic from a score on (GASP, BRC-64).
   *
   * @throws ApiError 400 ERR_UNKNOWN_TOPIC
   */
  async unspentSince(topic: string, since: number, limit: number | undefined): Promise<ScoredOutpoint[]> {
    this.#submitterOf(topic)
    return this.#gasp.unspentSince(topic, since, limit)
  }

  /**
   * A transaction of the graph of an unspent output (GASP, BRC-64).
   *
   * @param root the unspent output; @param node an output of the transaction that is wanted
   * @throws ApiError 404 ERR_OUTPUT_NOT_FOUND
   */
  graphNode(root: Outpoint, node: Outpoint): Promise<GaspNode> {
    return this.#gasp.graphNode(root, node)
  }

  /** @throws ApiError 400 ERR_UNKNOWN_TOPIC */
  #submitterOf(topic: string): Pick<Submitter<never>, 'submit'> {
    const submitter = this.#submitters.get(topic)
    if (submitter !== undefined) return submitter
    throw badRequest(
      'ERR_UNKNOWN_TOPIC',
      `This host does not know the topic ${name(topic)}, only ${[...this.#submitters.keys()].join(' and ')}.`
    )
  }

  #engine(): Engine {
    const { database, clock, logger, phip, messageBoxes } = this.#options
    const now = clock.now()
    const storage = new OverlayStorage(database, now)
    return createEngine({
      managers: {
        [phip.name]: phip.judge(database),
        [messageBoxes.name]: messageBoxes.judge(database)
      },
      services: {
        [phip.service]: phip.lookupService(database, storage, now),
        [messageBoxes.service]: messageBoxes.lookupService(database, storage, now),
        ...this.#advertisementServices(storage)
      },
      storage,
      chainTracker: 'scripts only',
      logger
    })
  }

  #advertisementServices(storage: OverlayStorage): Record<string, LookupService> {
    const { advertisements } = this.#options
    if (advertisements.length === 0) return {}
    return {
      [SHIP_DESCRIPTION.name]: new AdvertisementService(storage, advertisements, 'SHIP'),
      [SLAP_DESCRIPTION.name]: new AdvertisementService(storage, advertisements, 'SLAP')
    }
  }
}

function unframe(body: Uint8Array): Uint8Array {
  try {
    const reader = new ByteReader(body)
    return reader.bytes(reader.varInt())
  } catch (error) {
    throw error instanceof MalformedError ? invalidBeef(error.message) : error
  }
}

function tryParse(beef: Uint8Array): Beef | undefined {
  try {
    return parseBeef(beef)
  } catch (error) {
    if (error instanceof MalformedError) return undefined
    throw error
  }
}

function unknownService(service: string): Error {
  return badRequest('ERR_UNKNOWN_SERVICE', `This host has no lookup service ${name(service)}.`)
}

/** A stranger's text, as far as it is repeated to him. */
function name(text: string): string {
  return JSON.stringify(text.slice(0, 64))
}
