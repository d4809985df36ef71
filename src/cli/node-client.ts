import { createOutboundDoor, type OutboundDoor } from '../../federation/channel/guarded-fetch.js'
import { OutboundError } from '../../federation/channel/outbound-error.js'
import { createPeerClient, type PeerClient } from '../../federation/channel/peer-client.js'
import { PeerError } from '../../federation/channel/peer-error.js'
import type { Network } from '../config.js'
import { systemClock } from '../context.js'
import { parseJson } from '../json.js'
import { type IdentityKey, parseIdentityKey } from '../keys/identity-key.js'
import type { KeyDeriver } from '../keys/key-deriver.js'
import { createLogger } from '../logger.js'
import { isObject } from '../message.js'
import { CommandError, type Surroundings, UsageError } from './command.js'
import { curve } from './curve.js'

export const NODE_OPTION = {
  node: {
    type: 'string',
    value: '<url>',
    help: 'the node: a URL, or a port of this machine (default: 8080, or PEERSERV_NODE)'
  }
} as const

/** What a node says of itself (protocol section 7), as far as commands need it. */
export interface NodeDocument {
  readonly identityKey: IdentityKey
  /** What PHIP tokens name. */
  readonly domain: string
  readonly network: Network
}

export type JsonObject = Readonly<Record<string, unknown>>

/** A list of 8 MiB of bodies whose every character is escaped in JSON. */
const ANSWER_BYTES = 64 * 1024 * 1024
/** A thousand messages, with their proofs. */
const ANSWER_JSON = { depth: 32, members: 1_000_000 }
const MILLISECONDS = 15_000
const NETWORKS: readonly Network[] = ['local', 'private', 'test', 'main']

/**
 * The URL that `--node` means: a port of this machine, a host name (HTTPS), or a URL.
 *
 * @returns an origin, without trailing slash
 * @throws UsageError
 */
export function nodeUrl(given: string | undefined, environment: Surroundings['environment']): string {
  const text = given ?? (environment.PEERSERV_NODE || '8080')
  const candidate = /^\d{1,5}$/.test(text)
    ? `http://localhost:${text}`
    : text.includes('://')
      ? text
      : `https://${text}`
  const url = URL.canParse(candidate) ? new URL(candidate) : undefined
  const isOrigin =
    url !== undefined && (url.href === candidate || url.href === `${candidate}/`) && url.pathname === '/'
  if (!isOrigin || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.username !== '') {
    throw new UsageError(
      `'${text}' is no URL of a node, like http://localhost:8080 or https://relay.example.org`
    )
  }
  return url.origin
}

/** A user's connection to a node: authenticated both ways, never paying. */
export class NodeClient {
  readonly url: string
  readonly keys: KeyDeriver
  readonly #door: OutboundDoor
  readonly #peer: PeerClient
  #document: Promise<NodeDocument> | undefined

  /** @param url an origin, as from `nodeUrl` */
  constructor(url: string, keys: KeyDeriver) {
    this.url = url
    this.keys = keys
    const logger = createLogger('silent')
    // Whoever uses a command may call whatever he can reach, so the rules are those of `local`.
    const door = createOutboundDoor({ network: 'local', logger })
    const { protocol } = new URL(url)
    this.#door = {
      ...door,
      request: call => door.request({ ...call, url: call.url.replace(/^http:/, protocol) })
    }
    this.#peer = createPeerClient({ keys, door: this.#door, clock: systemClock, logger })
  }

  /**
   * What the node says of itself, asked once.
   *
   * @throws CommandError if nothing answers there, or something that is no node
   */
  document(): Promise<NodeDocument> {
    this.#document ??= this.#readDocument()
    return this.#document
  }

  /**
   * An authenticated POST.
   *
   * @param milliseconds that an answer may take
   * @returns the answer of a request that succeeded
   * @throws CommandError with the node's own code and description where it refused
   */
  async post(path: string, body: object, milliseconds: number = MILLISECONDS): Promise<JsonObject> {
    const { identityKey } = await this.document()
    const host = { domain: new URL(this.url).host, operatorKey: identityKey }
    const options = {
      maximumAnswerBytes: ANSWER_BYTES,
      timeouts: { headers: milliseconds, total: milliseconds }
    }
    const answer = await this.#reach(() => this.#peer.post(host, path, body, options))
    return accepted(answer.status, answer.body, this.url)
  }

  /** As `post`, for calls that are open to anybody; nobody proves anything. */
  async postPublicly(path: string, body: object): Promise<JsonObject> {
    const answer = await this.#reach(() =>
      this.#door.request({
        url: this.url + path,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: Buffer.from(JSON.stringify(body)),
        maximumAnswerBytes: ANSWER_BYTES
      })
    )
    return accepted(answer.status, answer.body, this.url)
  }

  /** Lets the process end: connections are kept for more calls. */
  close(): void {
    this.#door.close()
  }

  async #readDocument(): Promise<NodeDocument> {
    const url = `${this.url}/.well-known/peerserv`
    const answer = await this.#reach(() =>
      this.#door.request({ url, method: 'GET', maximumAnswerBytes: ANSWER_BYTES })
    )
    const document = parseNodeDocument(answer.status, answer.body)
    if (document !== undefined) return document
    throw new CommandError(
      'ERR_NO_NODE',
      `${this.url} answers, but is no peerserv node (status ${answer.status}).`
    )
  }

  async #reach<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (error) {
      if (error instanceof OutboundError) {
        const how = 'Start one (npm start), or name another with --node.'
        throw new CommandError(
          'ERR_NODE_UNREACHABLE',
          `No node answers at ${this.url} (${error.message}). ${how}`,
          {
            cause: error
          }
        )
      }
      if (error instanceof PeerError) {
        // The rightful node signs whatever it answers; a proxy in front of it does not.
        throw new CommandError(
          'ERR_NODE_UNAUTHENTICATED',
          `${this.url} does not answer as a node: ${error.message}.`,
          {
            cause: error
          }
        )
      }
      throw error
    }
  }
}

/** The node document (protocol section 7); undefined for any other answer. */
export function parseNodeDocument(status: number, body: Uint8Array): NodeDocument | undefined {
  const document = status === 200 ? jsonObject(body) : undefined
  const identityKey = parseIdentityKey(curve, document?.identityKey)
  const network = NETWORKS.find(known => known === document?.network)
  if (identityKey === undefined || network === undefined || typeof document?.domain !== 'string')
    return undefined
  return { identityKey, domain: document.domain, network }
}

/** The JSON of a 2xx answer. @throws CommandError with the code and description of any other */
export function accepted(status: number, body: Uint8Array, url: string): JsonObject {
  const json = jsonObject(body)
  if (json === undefined) throw new CommandError('ERR_NO_NODE', `${url} answers ${status}, and no JSON.`)
  if (status >= 200 && status < 300) return json
  const { code, description } = json
  throw new CommandError(
    typeof code === 'string' ? code : 'ERR_REFUSED',
    `${url} refuses: ${typeof description === 'string' ? description : `status ${status}`}`
  )
}

/** @returns undefined for anything else */
export function jsonObject(body: Uint8Array): JsonObject | undefined {
  try {
    const value = parseJson(body, ANSWER_JSON)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
