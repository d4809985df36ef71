import type { SignedMessageFormat } from '../../src/names.js'
import { seeded } from './origin-parties.js'

/*
 * The exact bytes that a sender signs, built by hand so that every part can be wrong alone.
 */

export type Members = Readonly<Record<string, unknown>>

/** A BRC-104 request in the parts of its preimage; undefined: a length of -1. */
export interface RequestParts {
  readonly requestId: Uint8Array
  readonly method: string | Uint8Array | undefined
  readonly path: string | Uint8Array | undefined
  readonly query: string | undefined
  readonly headers: readonly (readonly [name: string, value: string | undefined])[]
  /** Where it is not the number of headers. */
  readonly headerCount?: Uint8Array
  readonly body: Uint8Array | undefined
}

/** POST /sendMessage as stock clients sign it. */
export function requestParts(label: string, body: Uint8Array): RequestParts {
  return {
    requestId: seeded(`request id ${label}`, 32),
    method: 'POST',
    path: '/sendMessage',
    query: undefined,
    headers: [['content-type', 'application/json']],
    body
  }
}

/** BRC-104, "Request and Response Payload Serialization". */
export function preimage({
  requestId,
  method,
  path,
  query,
  headers,
  headerCount,
  body
}: RequestParts): Buffer {
  return Buffer.concat([
    requestId,
    field(method),
    field(path),
    field(query),
    headerCount ?? varInt(headers.length),
    ...headers.flatMap(([name, value]) => [field(name), field(value)]),
    field(body)
  ])
}

/** Bitcoin's VarInt in its shortest form. */
export function varInt(length: number): Buffer {
  if (length < 0xfd) return Buffer.of(length)
  if (length <= 0xffff) return Buffer.of(0xfd, length & 0xff, length >> 8)
  return Buffer.of(0xfe, length & 0xff, (length >> 8) & 0xff, (length >> 16) & 0xff, length >>> 24)
}

/** What is absent has length -1: nine bytes of ff. */
export const ABSENT = Buffer.alloc(9, 0xff)

export function field(content: string | Uint8Array | undefined): Buffer {
  if (content === undefined) return ABSENT
  const bytes = Buffer.from(content)
  return Buffer.concat([varInt(bytes.length), bytes])
}

/** What is signed of `{message}`, a /sendMessage request, in each format. */
export function signedBytes(format: SignedMessageFormat, label: string, message: Members): Buffer {
  if (format === 'brc104') return preimage(requestParts(label, json({ message })))
  if (format === 'authrite') return json({ message })
  return json(liveSend(message))
}

/** A live send: recipient and box stand in the room's name, the rest in its message. */
export function liveSend(message: Members): Members {
  const { recipient, messageBox, ...rest } = message
  return {
    eventName: 'sendMessage',
    data: { roomId: `${String(recipient)}-${String(messageBox)}`, message: { ...rest, recipient } }
  }
}

export function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

/** What begins the invoice number that requests of each format are signed under; the key id follows. */
export const INVOICE_PREFIX: Readonly<Record<SignedMessageFormat, string>> = {
  brc104: '2-auth message signature-',
  brc103: '2-auth message signature-',
  authrite: '2-authrite message signature-'
}
