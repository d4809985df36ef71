import type { Limits } from './config.js'
import { ApiError, badRequest } from './errors.js'

export interface MessageBody {
  /** As text: an object is its JSON. */
  readonly body: string
  /** A stock client would take the body's member `message` for the body. */
  readonly wrapped: boolean
  /** Base64 of the ciphertext, where the body is sealed. */
  readonly ciphertext: string | undefined
}

/**
 * Parses the body of a message: a string that is not blank, or an object, which is stored as its JSON.
 *
 * @throws ApiError 400 ERR_MESSAGE_BODY_REQUIRED, ERR_INVALID_MESSAGE_BODY; 413 ERR_MESSAGE_BODY_TOO_LARGE
 */
export function parseMessageBody(value: unknown, limits: Limits): MessageBody {
  if (value === undefined || value === null) {
    throw badRequest('ERR_MESSAGE_BODY_REQUIRED', 'The message needs a "body".')
  }
  if (typeof value !== 'string' && typeof value !== 'object') {
    throw badRequest('ERR_INVALID_MESSAGE_BODY', '"body" must be a string or an object.')
  }
  const body = typeof value === 'string' ? value : JSON.stringify(value)
  if (body.trim() === '') throw badRequest('ERR_INVALID_MESSAGE_BODY', '"body" must not be blank.')
  if (Buffer.byteLength(body) > limits.messageBodyBytes) {
    throw new ApiError(
      413,
      'ERR_MESSAGE_BODY_TOO_LARGE',
      `A message body has at most ${limits.messageBodyBytes} bytes.`,
      { resource: 'messageBody', limit: limits.messageBodyBytes }
    )
  }
  return { body, wrapped: hasMember(body, 'message'), ciphertext: sealedCiphertext(body) }
}

/**
 * A JSON object with exactly one member, `encryptedMessage`, in one spelling only, so that no reader can find another
 * ciphertext in it (a member written twice, an escape). Not parsed: strangers may nest what they like.
 */
const SEALED_BODY =
  /^[ \t\n\r]*\{[ \t\n\r]*"encryptedMessage"[ \t\n\r]*:[ \t\n\r]*"([A-Za-z0-9+/]+={0,2})"[ \t\n\r]*\}[ \t\n\r]*$/

/** What follows the name of a member. */
const COLON = /[ \t\n\r]*:/y

/** The ciphertext of a sealed body: canonical base64 of at least 49 bytes (protocol section 4, 3). */
function sealedCiphertext(body: string): string | undefined {
  const text = SEALED_BODY.exec(body)?.[1]
  if (text === undefined) return undefined
  const bytes = Buffer.from(text, 'base64')
  return bytes.length >= 49 && bytes.toString('base64') === text ? text : undefined
}

/**
 * Whether somebody who parses the body finds an object with this member. The body is looked through, not parsed: half a
 * million containers inside each other take JSON.parse a fifth of a second. The answer about what is no JSON at all does
 * not matter.
 */
function hasMember(body: string, name: string): boolean {
  // A name is either spelled out or written with escapes.
  if (!/^\s*\{/.test(body) || !(body.includes(`"${name}"`) || body.includes('\\u'))) return false
  let depth = 0
  for (let at = 0; at < body.length; at++) {
    const character = body[at]
    if (character === '"') {
      const end = endOfString(body, at)
      if (depth === 1 && isName(body, at, end, name)) return true
      at = end
    } else if (character === '{' || character === '[') depth++
    else if (character === '}' || character === ']') depth--
  }
  return false
}

/** Index of the closing quote, or the length of the text. */
function endOfString(text: string, quote: number): number {
  for (let at = quote + 1; at < text.length; at++) {
    if (text[at] === '"') return at
    if (text[at] === '\\') at++
  }
  return text.length
}

function isName(text: string, quote: number, end: number, name: string): boolean {
  COLON.lastIndex = end + 1
  if (!COLON.test(text)) return false
  const literal = text.slice(quote, end + 1)
  return literal === `"${name}"` || (literal.includes('\\') && parsesTo(literal, name))
}

function parsesTo(literal: string, name: string): boolean {
  try {
    return JSON.parse(literal) === name
  } catch {
    return false
  }
}
