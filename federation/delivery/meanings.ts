import type { OutboundErrorKind, OutboundPhase } from '../channel/outbound-error.js'
import type { PeerErrorKind } from '../channel/peer-error.js'

/*
 * The table of docs/delivery.md, which a test compares with this file.
 */

/** What an answer, or the lack of one, says. */
export type Meaning =
  /** The host has the message. */
  | 'delivered'
  /** It will never take this message. */
  | 'refused'
  /** Not this message now. */
  | 'message waits'
  /** Nothing of this sender for this box now. */
  | 'lane waits'
  /** Nothing at all there now. */
  | 'host fails'
  /** One of the two; what came before and what others are answered tells which (retry-policy.ts). */
  | 'host or message'
  /** Somebody else is at this domain. */
  | 'not that host'

/** Statuses of an answer that the host signed, and that speaks of the whole call. */
export const MEANING_OF_STATUS: Readonly<Record<string, Meaning>> = {
  '2xx': 'host fails',
  '400': 'refused',
  '401': 'host fails',
  '402': 'refused',
  '403': 'refused',
  '404': 'host fails',
  '405': 'host fails',
  '408': 'message waits',
  '409': 'refused',
  '410': 'refused',
  '413': 'refused',
  '422': 'refused',
  '425': 'lane waits',
  '429': 'host fails',
  '4xx': 'refused',
  '503': 'host fails',
  '507': 'lane waits',
  '5xx': 'host or message'
}

/** `httpStatus` in the result of one recipient. */
export const MEANING_OF_RESULT: Readonly<Record<string, Meaning>> = {
  '408': 'message waits',
  '425': 'lane waits',
  '429': 'lane waits',
  '4xx': 'refused',
  '503': 'lane waits',
  '507': 'lane waits',
  '5xx': 'message waits'
}

/** Attempts without an answer that the host signed. Until the message has left, nothing can be its fault. */
export const MEANING_OF_FAILURE: Readonly<
  Record<Exclude<OutboundErrorKind | PeerErrorKind, 'unauthenticated-answer'>, Meaning>
> = {
  'refused-address': 'host fails',
  'refused-url': 'host fails',
  blocked: 'host fails',
  dns: 'host fails',
  connect: 'host fails',
  tls: 'host fails',
  'timeout-before-headers': 'host or message',
  timeout: 'host or message',
  reset: 'host or message',
  redirect: 'host fails',
  'too-large': 'host or message',
  protocol: 'host or message',
  'handshake-failed': 'host fails',
  'wrong-identity': 'not that host',
  'other-key-known': 'not that host',
  'not-json': 'host or message'
}

/** Statuses of an answer that nobody signed: what stands before the host speaks, or the host without its session. */
export const MEANING_OF_UNSIGNED: Readonly<Record<string, Meaning>> = {
  '401': 'host fails',
  '429': 'host fails',
  '502': 'host fails',
  '503': 'host fails',
  '504': 'host fails',
  other: 'host or message'
}

/** @param status 200 excepted: there the body speaks */
export function meaningOfStatus(status: number): Meaning {
  return MEANING_OF_STATUS[status] ?? MEANING_OF_STATUS[classOf(status)] ?? 'host fails'
}

export function meaningOfResult(status: number): Meaning {
  return MEANING_OF_RESULT[status] ?? MEANING_OF_RESULT[classOf(status)] ?? 'refused'
}

/** @param detail of an unsigned answer its status; of what went wrong on the way, whether the message had left */
export function meaningOfFailure(
  kind: OutboundErrorKind | PeerErrorKind,
  detail: number | OutboundPhase | undefined
): Meaning {
  if (kind === 'unauthenticated-answer') {
    return MEANING_OF_UNSIGNED[Number(detail)] ?? MEANING_OF_UNSIGNED.other!
  }
  const meaning = MEANING_OF_FAILURE[kind]
  return meaning === 'host or message' && detail === 'before-sent' ? 'host fails' : meaning
}

function classOf(status: number): string {
  return `${Math.floor(status / 100)}xx`
}
