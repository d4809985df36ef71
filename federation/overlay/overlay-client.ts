import { parseJson } from '../../src/json.js'
import type { Answer } from '../channel/exchange.js'
import { type OutboundDoor, OVERLAY_ANSWER_BYTES } from '../channel/guarded-fetch.js'
import type { Outpoint } from '../storage/overlay-outputs.js'
import type { ScoredOutpoint } from './gasp-server.js'
import { parseLookupAnswer } from './lookup-answer.js'
import type { AnsweredOutput } from './overlay-host.js'

/** A host answered, but not as an overlay host does. */
export class OverlayAnswerError extends Error {
  /** The same question may be answered later. */
  readonly isTemporary: boolean

  constructor(message: string, status?: number) {
    super(message)
    this.name = 'OverlayAnswerError'
    this.isTemporary = status !== undefined && (status >= 500 || status === 408 || status === 429)
  }
}

/** A transaction as GASP hands it over. */
export interface FetchedNode {
  readonly rawTx: Uint8Array
  /** BUMP. */
  readonly proof: Uint8Array | undefined
}

/** A page of outpoints, each an object with three members. */
const PAGE_JSON = { depth: 8, members: 50_000 }
const TXID = /^[0-9a-f]{64}$/
const HEX = /^(?:[0-9a-f]{2})*$/i
const LARGEST_INDEX = 0x7fff_ffff

/**
 * What this node asks of other overlay hosts, all of it through the one door outward: @bsv/overlay and the clients of
 * @bsv/sdk call the global fetch. Every answer is bounded, and parsed before anybody sees it.
 *
 * Methods take the base URL of a host, without trailing slash, and throw OutboundError (no answer) or
 * OverlayAnswerError (a wrong one).
 */
export class OverlayClient {
  readonly #door: OutboundDoor

  constructor(door: OutboundDoor) {
    this.#door = door
  }

  /** BRC-22: resolves when the host has taken the transaction, be it that it had it before or has no use for it. */
  async submit(host: string, topic: string, beef: Uint8Array): Promise<void> {
    const headers = { 'content-type': 'application/octet-stream', 'x-topics': JSON.stringify([topic]) }
    const answer = await this.#post(`${host}/submit`, headers, beef)
    const steak = member(json(answer), topic)
    // Of three lists, all may be empty: stock hosts say that of a transaction which they have.
    if (!Array.isArray(member(steak, 'outputsToAdmit')))
      throw new OverlayAnswerError('no answer for the topic')
  }

  /** BRC-24: what comes is a claim of that host. */
  async lookup(host: string, service: string, query: object): Promise<AnsweredOutput[]> {
    const body = Buffer.from(JSON.stringify({ service, query }))
    const answer = await this.#post(`${host}/lookup`, { 'content-type': 'application/json' }, body)
    const outputs = parseLookupAnswer(json(answer))
    if (outputs === undefined) throw new OverlayAnswerError('no output list')
    return outputs
  }

  /** GASP (BRC-64): unspent outputs from a score on, in whatever order the host lists them. */
  async unspentSince(host: string, topic: string, since: number, limit: number): Promise<ScoredOutpoint[]> {
    const headers = { 'content-type': 'application/json', 'x-bsv-topic': topic }
    const body = Buffer.from(JSON.stringify({ version: 1, since, limit }))
    const list = member(json(await this.#post(`${host}/requestSyncResponse`, headers, body)), 'UTXOList')
    if (!Array.isArray(list)) throw new OverlayAnswerError('no list of outputs')
    return list.flatMap(item => parseScoredOutpoint(item) ?? [])
  }

  /** GASP (BRC-64): the transaction of an outpoint within the graph of an unspent output. */
  async graphNode(host: string, root: Outpoint, node: Outpoint): Promise<FetchedNode> {
    const request = { graphID: `${root.txid}.${root.outputIndex}`, ...node, metadata: false }
    const body = Buffer.from(JSON.stringify(request))
    const answer = json(
      await this.#post(`${host}/requestForeignGASPNode`, { 'content-type': 'application/json' }, body)
    )
    const rawTx = hexBytes(member(answer, 'rawTx'))
    if (rawTx === undefined) throw new OverlayAnswerError('no transaction')
    return { rawTx, proof: hexBytes(member(answer, 'proof')) }
  }

  async #post(url: string, headers: Record<string, string>, body: Uint8Array): Promise<Answer> {
    const call = { url, method: 'POST', headers, body, maximumAnswerBytes: OVERLAY_ANSWER_BYTES } as const
    const answer = await this.#door.request(call)
    if (answer.status !== 200) throw new OverlayAnswerError(`status ${answer.status}`, answer.status)
    return answer
  }
}

function json(answer: Answer): unknown {
  try {
    return parseJson(answer.body, PAGE_JSON)
  } catch {
    throw new OverlayAnswerError('the answer is not strict JSON')
  }
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return Reflect.get(value, name)
}

function parseScoredOutpoint(item: unknown): ScoredOutpoint | undefined {
  const txid = member(item, 'txid')
  const outputIndex = member(item, 'outputIndex')
  const score = member(item, 'score') ?? 0
  if (typeof txid !== 'string' || !TXID.test(txid)) return undefined
  if (!isNatural(outputIndex) || outputIndex > LARGEST_INDEX || !isNatural(score)) return undefined
  return { txid, outputIndex, score }
}

function isNatural(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function hexBytes(value: unknown): Uint8Array | undefined {
  return typeof value === 'string' && value !== '' && HEX.test(value) ? Buffer.from(value, 'hex') : undefined
}
