import type { Curve } from '../../src/curve/curve.js'
import { type ApiError, badRequest } from '../../src/errors.js'
import { identityKeyBytes, parseIdentityKey } from '../../src/keys/identity-key.js'
import type { Outpoint } from '../storage/overlay-outputs.js'

/** What `ls_phip` can be asked (BRC-34, "Lookup"; `outpoints` is ours). */
export type PhipQuery =
  | { readonly by: 'recipient'; readonly recipient: Buffer }
  | { readonly by: 'operator'; readonly operator: Buffer }
  | { readonly by: 'outpoints'; readonly operator: Buffer; readonly outpoints: readonly Outpoint[] }
  | { readonly by: 'outputs'; readonly outpoints: readonly Outpoint[] }

/** Outpoints in one query. */
export const MAX_ASKED_OUTPOINTS = 100

const OUTPOINT = /^([0-9a-f]{64})\.(0|[1-9][0-9]{0,8})$/

/** @throws ApiError 400 ERR_INVALID_QUERY */
export function parsePhipQuery(curve: Curve, query: unknown): PhipQuery {
  if (typeof query !== 'object' || query === null) throw invalid('it is an object')
  const asked: { recipient?: unknown; user?: unknown; operator?: unknown; outpoints?: unknown } = query
  const recipient = asked.recipient ?? asked.user
  if (recipient !== undefined) return { by: 'recipient', recipient: keyBytes(curve, recipient) }
  if (asked.operator === undefined) {
    if (asked.outpoints === undefined) throw invalid('it names a recipient, an operator or outpoints')
    return { by: 'outputs', outpoints: parseOutpoints(asked.outpoints) }
  }
  const operator = keyBytes(curve, asked.operator)
  if (asked.outpoints === undefined) return { by: 'operator', operator }
  return { by: 'outpoints', operator, outpoints: parseOutpoints(asked.outpoints) }
}

/** `<txid>.<output index>`, as overlay hosts write it; undefined for anything else. */
function parseOutpoint(text: unknown): Outpoint | undefined {
  const parts = typeof text === 'string' ? OUTPOINT.exec(text) : null
  return parts === null ? undefined : { txid: parts[1]!, outputIndex: Number(parts[2]) }
}

/** @throws ApiError 400 ERR_INVALID_QUERY */
export function parseOutpoints(value: unknown): Outpoint[] {
  if (!Array.isArray(value) || value.length > MAX_ASKED_OUTPOINTS) {
    throw invalid(`outpoints is an array of at most ${MAX_ASKED_OUTPOINTS}`)
  }
  return value.map(text => {
    const outpoint = parseOutpoint(text)
    if (outpoint === undefined) throw invalid('an outpoint is "<txid>.<output index>"')
    return outpoint
  })
}

function keyBytes(curve: Curve, value: unknown): Buffer {
  const key = parseIdentityKey(curve, value)
  if (key === undefined) throw invalid('a key is 66 hex characters of a compressed public key')
  return identityKeyBytes(key)
}

function invalid(rule: string): ApiError {
  return badRequest('ERR_INVALID_QUERY', `The query cannot be answered: ${rule}.`)
}
