import { parseRequestPreimage } from '../../src/auth/parse-preimage.js'
import type { Limits } from '../../src/config.js'
import type { Curve } from '../../src/curve/curve.js'
import { ApiError } from '../../src/errors.js'
import { parseJson } from '../../src/json.js'
import { parseJsonInTurns } from '../../src/json-in-turns.js'
import { authriteSendRequest, brc103SendRequest } from '../../src/live-send.js'
import { type Message, parseMessage } from '../../src/message.js'
import type { SignedMessageFormat } from '../../src/names.js'

export interface SignedMessage {
  readonly format: SignedMessageFormat
  readonly message: Message
}

/** Of a request that is a message, but not one that this host takes: told as /sendMessage tells it. */
const NOT_TAKEN: ReadonlySet<string> = new Set([
  'ERR_MESSAGE_BODY_TOO_LARGE',
  'ERR_TOO_MANY_RECIPIENTS',
  'ERR_RESERVED_MESSAGEBOX'
])

/** Parses JSON of the signed bytes. */
export type ParseSigned = (json: Buffer) => unknown

/** Parses what may be long beforehand: others have their turn in between. */
export async function parseSignedInTurns(signedBytes: Buffer): Promise<ParseSigned> {
  const long = requestBody(signedBytes) ?? signedBytes
  try {
    const parsed = await parseJsonInTurns(long)
    return json => (json.length === long.length ? parsed : parseJson(json))
  } catch {
    // What is wrong with it is found and told by whoever reads it.
    return parseJson
  }
}

/**
 * Reads a message out of the exact bytes that its sender signed, and out of nothing else: method, path, recipients, box
 * and body (protocol section 4). A signed request for another endpoint is no message.
 *
 * @param format undefined where a plain BRC-34 host did not say: a BRC-104 preimage or an Authrite body
 * @returns undefined where the bytes are no /sendMessage request
 * @throws ApiError 413 ERR_MESSAGE_BODY_TOO_LARGE, 400 ERR_TOO_MANY_RECIPIENTS, 403 ERR_RESERVED_MESSAGEBOX
 */
export function readSignedMessage(
  curve: Curve,
  limits: Limits,
  signedBytes: Buffer,
  format: SignedMessageFormat | undefined,
  parse: ParseSigned = parseJson
): SignedMessage | undefined {
  try {
    if (format === undefined || format === 'brc104') {
      const body = requestBody(signedBytes)
      if (body !== undefined) return { format: 'brc104', message: parseMessage(curve, limits, parse(body)) }
      if (format === 'brc104') return undefined
    }
    const json = parse(signedBytes)
    if (format === 'brc103') return { format, message: parseMessage(curve, limits, brc103SendRequest(json)) }
    return { format: 'authrite', message: parseMessage(curve, limits, authriteSendRequest(json)) }
  } catch (error) {
    if (error instanceof ApiError && !NOT_TAKEN.has(error.code)) return undefined
    throw error
  }
}

/** The body of a BRC-104 request preimage for POST /sendMessage that shows no other host an authorization header. */
function requestBody(signedBytes: Buffer): Buffer | undefined {
  const request = parseRequestPreimage(signedBytes)
  if (request === undefined || request.method !== 'POST' || request.query !== '') return undefined
  // A client whose host ends in a slash signs //sendMessage.
  if (!/^\/+sendMessage$/.test(request.path)) return undefined
  if (request.headers.some(header => header.name === 'authorization')) return undefined
  return request.body
}
