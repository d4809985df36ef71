import { badRequest } from '../../src/errors.js'
import { type IdentityKey, parseIdentityKey } from '../../src/keys/identity-key.js'
import { isObject } from '../../src/message.js'
import type { FederationContext } from '../context.js'
import { parseDomain } from '../phip/domain.js'

const DEFAULT_LIMIT = 100
const LARGEST_LIMIT = 1_000
/** Deliveries named in one call. */
const MOST_IDS = 1_000
const LONGEST_REASON = 500
const LONGEST_CURSOR = 1_000

/** Members that several of the operator's calls have; whatever is wrong is 400 ERR_INVALID_OPERATOR_REQUEST. */
export type Body = Readonly<Record<string, unknown>>

export function invalidRequest(rule: string): Error {
  return badRequest('ERR_INVALID_OPERATOR_REQUEST', `${rule}.`)
}

export function parseBody(body: unknown): Body {
  if (!isObject(body)) throw invalidRequest('The body must be an object')
  return body
}

/** One of some words; undefined where the member is absent. */
export function parseChoice<Choice extends string>(
  body: Body,
  name: string,
  choices: readonly Choice[]
): Choice | undefined {
  const value = body[name]
  if (value === undefined) return undefined
  const choice = choices.find(known => known === value)
  if (choice === undefined) throw invalidRequest(`"${name}" must be one of ${choices.join(', ')}`)
  return choice
}

export function parseLimit({ limit = DEFAULT_LIMIT }: Body): number {
  if (typeof limit !== 'number' || !Number.isSafeInteger(limit) || limit < 1) {
    throw invalidRequest('"limit" must be a positive integer')
  }
  return Math.min(limit, LARGEST_LIMIT)
}

export function parseCursor({ cursor }: Body): string | undefined {
  if (cursor === undefined) return undefined
  if (typeof cursor !== 'string' || cursor.length > LONGEST_CURSOR) throw invalidCursor()
  return cursor
}

export function invalidCursor(): Error {
  return invalidRequest('"cursor" must be the "nextCursor" of an earlier answer to the same question')
}

export function parseReason({ reason }: Body): string | undefined {
  if (reason === undefined) return undefined
  if (typeof reason === 'string' && reason.length > 0 && reason.length <= LONGEST_REASON) return reason
  throw invalidRequest(`"reason" must be a text of at most ${LONGEST_REASON} characters`)
}

export function parseIds({ ids }: Body): number[] {
  const valid =
    Array.isArray(ids) &&
    ids.length > 0 &&
    ids.length <= MOST_IDS &&
    ids.every(id => Number.isSafeInteger(id) && id > 0)
  if (!valid) throw invalidRequest(`"ids" must be an array of 1 to ${MOST_IDS} ids of deliveries`)
  return ids.map(Number)
}

/** A domain exactly as tokens of this network name it. */
export function parseHost({ config }: FederationContext, value: unknown): string {
  const domain = typeof value === 'string' ? parseDomain(value, config.network) : undefined
  if (domain?.ok) return domain.value
  throw invalidRequest('"host" must be the domain of a host, for instance "relay.example.org"')
}

export function parseKey({ curve }: FederationContext, name: string, value: unknown): IdentityKey {
  const key = parseIdentityKey(curve, value)
  if (key === undefined) throw invalidRequest(`"${name}" must be an identity key of 66 hex characters`)
  return key
}
