import type { PublicEndpoint } from '../../src/endpoint.js'
import { type ApiError, badRequest } from '../../src/errors.js'
import { isObject } from '../../src/message.js'
import type { Outpoint } from '../storage/overlay-outputs.js'
import type { OverlayContext } from './overlay-context.js'

const LARGEST_BODY = 4 * 1024
const GASP_VERSION = 1
const TXID = /^[0-9a-f]{64}$/
const GRAPH_ID = /^([0-9a-f]{64})\.(0|[1-9][0-9]{0,9})$/
const LARGEST_INDEX = 0x7fff_ffff

/**
 * POST /requestSyncResponse (GASP, BRC-64): the unspent outputs of a topic from a score on, that score included, lowest
 * first.
 *
 * Header `x-bsv-topic`; body `{version: 1, since, limit?}`, limit at most 10,000. Answers `{UTXOList: [{txid, outputIndex,
 * score}], since}`. Scores rise in the order in which outputs became visible here: who asks again from the highest score
 * that he has seen misses nothing.
 *
 * Errors: 400 ERR_UNKNOWN_TOPIC, ERR_INVALID_SYNC_REQUEST, ERR_GASP_VERSION_MISMATCH.
 */
export const requestSyncResponse: PublicEndpoint<OverlayContext> = {
  method: 'POST',
  path: '/requestSyncResponse',
  authenticated: false,
  bodyLimit: () => LARGEST_BODY,
  async handler(request, { overlay: { host } }) {
    const topic = request.headers['x-bsv-topic']
    if (typeof topic !== 'string') throw invalid('the header x-bsv-topic must name a topic')
    const body = request.json()
    if (!isObject(body)) throw invalid('the body must be {"version": 1, "since": …}')
    const { version, since, limit } = body
    if (version !== GASP_VERSION) {
      throw badRequest('ERR_GASP_VERSION_MISMATCH', `This host speaks version ${GASP_VERSION} of GASP.`)
    }
    if (!isNatural(since)) throw invalid('"since" must be an integer of 0 or more')
    if (limit !== undefined && (!isNatural(limit) || limit === 0)) {
      throw invalid('"limit" must be an integer of 1 or more')
    }
    return { body: { UTXOList: await host.unspentSince(topic, since, limit), since } }
  }
}

/**
 * POST /requestForeignGASPNode (GASP, BRC-64): one transaction of the graph behind an unspent output.
 *
 * Body `{graphID, txid, outputIndex}`, where `graphID` is `<txid>.<index>` of the unspent output. Answers `{graphID, rawTx,
 * outputIndex, proof?}`, in hex.
 *
 * Errors: 400 ERR_INVALID_SYNC_REQUEST; 404 ERR_OUTPUT_NOT_FOUND.
 */
export const requestForeignGaspNode: PublicEndpoint<OverlayContext> = {
  method: 'POST',
  path: '/requestForeignGASPNode',
  authenticated: false,
  bodyLimit: () => LARGEST_BODY,
  async handler(request, { overlay: { host } }) {
    const body = request.json()
    if (!isObject(body)) throw invalid('the body must be {"graphID": …, "txid": …, "outputIndex": …}')
    const root = parseGraphId(body.graphID)
    const { txid, outputIndex } = body
    if (root === undefined) throw invalid('"graphID" must be "<txid>.<output index>"')
    if (typeof txid !== 'string' || !TXID.test(txid)) throw invalid('"txid" must be 64 hex characters')
    if (!isNatural(outputIndex)) throw invalid('"outputIndex" must be an integer of 0 or more')
    return { body: await host.graphNode(root, { txid, outputIndex }) }
  }
}

function parseGraphId(value: unknown): Outpoint | undefined {
  const parts = typeof value === 'string' ? GRAPH_ID.exec(value) : null
  if (parts === null || Number(parts[2]) > LARGEST_INDEX) return undefined
  return { txid: parts[1]!, outputIndex: Number(parts[2]) }
}

function isNatural(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function invalid(rule: string): ApiError {
  return badRequest('ERR_INVALID_SYNC_REQUEST', `The request cannot be answered: ${rule}.`)
}
