import { badRequest } from './errors.js'
import type { IdentityKey } from './keys/identity-key.js'

/** Names in one statement at most. */
export const NAMES_AT_MOST = 1_000

const NAME = /^[0-9a-f]{64}$/

/**
 * The text that a recipient signs portably to say what he has acknowledged, so that no host has to be trusted; or one of
 * his hosts, on his plain word (protocol section 6).
 *
 * @param envelopeIds names, 64 hex characters each
 */
export function acknowledgementText(recipient: IdentityKey, envelopeIds: readonly string[]): string {
  return JSON.stringify(['peerserv acknowledgement', 1, recipient, envelopeIds])
}

/**
 * Parses a list of `envelopeId`s as lists show them: 1 to 1,000 names of 64 lower-case hex characters, none twice.
 *
 * @throws ApiError 400 ERR_INVALID_ENVELOPE_ID, ERR_TOO_MANY_MESSAGE_IDS
 */
export function parseEnvelopeIds(value: unknown): string[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw badRequest('ERR_INVALID_ENVELOPE_ID', '"envelopeIds" must be an array of at least one id.')
  }
  if (value.length > NAMES_AT_MOST) {
    throw badRequest('ERR_TOO_MANY_MESSAGE_IDS', `At most ${NAMES_AT_MOST} ids in one call.`)
  }
  for (const id of value as unknown[]) {
    if (typeof id !== 'string' || !NAME.test(id)) {
      throw badRequest(
        'ERR_INVALID_ENVELOPE_ID',
        'An envelope id is 64 lower-case hex characters, as /listMessages shows it.'
      )
    }
  }
  const ids = value as string[]
  if (new Set(ids).size !== ids.length) {
    throw badRequest('ERR_INVALID_ENVELOPE_ID', 'An envelope id is named twice.')
  }
  return ids
}

/** The 32 bytes of each. */
export function namesOf(envelopeIds: readonly string[]): Buffer[] {
  return envelopeIds.map(id => Buffer.from(id, 'hex'))
}
