import { badRequest } from '../../src/errors.js'
import { isObject } from '../../src/message.js'
import { type Fingerprint, type ItemKey, type Part, partsOf } from './item-set.js'

/*
 * What POST /reconcile says and answers (docs/federation.md).
 */

/** Ranges in one call. */
export const RANGES_AT_MOST = 16
/** Parts into which a range is cut. */
export const PARTS = 16
/** A range with no more items is answered with the items themselves. */
export const ITEMS_AT_MOST = 64
/** Items offered or wanted in one call, and the recipients that they may be of. */
export const OFFERS_AT_MOST = 1_000
export const RECIPIENTS_AT_MOST = 100

/** A range as the caller has it. */
export interface AskedRange extends Fingerprint {
  readonly from: ItemKey
  readonly until: ItemKey | undefined
}

export interface ReconcileRequest {
  /** Seconds. */
  readonly timeToLive: number
  readonly ranges: readonly AskedRange[]
  /** What the caller holds and the other one seems to lack. */
  readonly offers: readonly ItemKey[]
  /** What the caller lacks and would take. */
  readonly wants: readonly ItemKey[]
}

/** About a range, or its beginning up to `until`. */
export type AnsweredRange =
  | { readonly until: ItemKey | undefined; readonly same: true }
  | { readonly until: ItemKey | undefined; readonly items: readonly ItemKey[] }
  | { readonly until: ItemKey | undefined; readonly parts: readonly Part[] }

export interface ReconcileAnswer {
  /** Seconds. */
  readonly timeToLive: number
  readonly ranges: readonly AnsweredRange[]
  /** Of the offers. */
  readonly wanted: readonly ItemKey[]
}

const ITEM = /^0[23][0-9a-f]{128}$/
const FINGERPRINT = /^[0-9a-f]{64}$/
const LONGEST_TIME_TO_LIVE = 10 * 365 * 24 * 60 * 60

/** Parses the body of a call. @throws ApiError 400 ERR_INVALID_RECONCILIATION */
export function parseReconcileRequest(body: unknown): ReconcileRequest {
  if (!isObject(body)) throw invalid('The body must be an object.')
  const { ranges = [], offers = [], wants = [] } = body
  if (!isTimeToLive(body.timeToLive)) throw invalid('"timeToLive" must be a number of seconds.')
  if (!Array.isArray(ranges) || ranges.length > RANGES_AT_MOST) {
    throw invalid(`"ranges" must be an array of at most ${RANGES_AT_MOST}.`)
  }
  return {
    timeToLive: body.timeToLive,
    ranges: ranges.map(parseAskedRange),
    offers: parseItems('offers', offers),
    wants: parseItems('wants', wants)
  }
}

function parseAskedRange(range: unknown): AskedRange {
  if (
    !isObject(range) ||
    !isBound(range.from) ||
    !isEnd(range.until, range.from) ||
    !isCount(range.count) ||
    !isFingerprint(range.fingerprint)
  ) {
    throw invalid(
      'A range is {"from", "until", "count", "fingerprint"}, from an item or "" until a later one or null.'
    )
  }
  const { from, until, count, fingerprint } = range
  return { from, until: until ?? undefined, count, fingerprint }
}

function parseItems(member: string, items: unknown): ItemKey[] {
  if (!Array.isArray(items) || items.length > OFFERS_AT_MOST || !items.every(isItem)) {
    throw invalid(`"${member}" must be an array of at most ${OFFERS_AT_MOST} items of 130 hex characters.`)
  }
  if (new Set(items.map(item => partsOf(item).recipient)).size > RECIPIENTS_AT_MOST) {
    throw invalid(`"${member}" may speak of ${RECIPIENTS_AT_MOST} recipients.`)
  }
  return items
}

/** The body of a call. */
export function presentRequest({ timeToLive, ranges, offers, wants }: ReconcileRequest): object {
  return {
    timeToLive,
    ranges: ranges.map(range => ({ ...range, until: range.until ?? null })),
    offers,
    wants
  }
}

/** The body of an answer. */
export function presentAnswer({ timeToLive, ranges, wanted }: ReconcileAnswer): object {
  return {
    status: 'success',
    timeToLive,
    ranges: ranges.map(range => ({
      ...range,
      until: range.until ?? null,
      ...('parts' in range
        ? { parts: range.parts.map(part => ({ ...part, until: part.until ?? null })) }
        : {})
    })),
    wanted
  }
}

/**
 * Parses the answer to a call, and holds it against the request: one for each range, in its bounds, in order.
 *
 * @returns undefined where it makes no sense
 */
export function parseReconcileAnswer(request: ReconcileRequest, body: unknown): ReconcileAnswer | undefined {
  if (!isObject(body) || body.status !== 'success' || !isTimeToLive(body.timeToLive)) return undefined
  const { ranges, wanted } = body
  if (!Array.isArray(ranges) || ranges.length !== request.ranges.length) return undefined
  if (!Array.isArray(wanted)) return undefined
  const offered = new Set<unknown>(request.offers)
  if (wanted.length > offered.size || !wanted.every(item => offered.has(item))) return undefined
  const answered = ranges.map((range, i) => parseAnsweredRange(request.ranges[i]!, range))
  if (!answered.every(range => range !== undefined)) return undefined
  return { timeToLive: body.timeToLive, ranges: answered, wanted }
}

function parseAnsweredRange(asked: AskedRange, range: unknown): AnsweredRange | undefined {
  if (!isObject(range) || !isEnd(range.until, asked.from)) return undefined
  const until = range.until ?? undefined
  if (isAfter(until, asked.until)) return undefined
  if (range.same === true) return until === asked.until ? { until, same: true } : undefined
  const { items, parts } = range
  if (Array.isArray(items)) {
    if (items.length > ITEMS_AT_MOST || !items.every(isItem)) return undefined
    const inside = items.every((item, i) => item >= (i === 0 ? asked.from : `${items[i - 1]}0`))
    return inside && (items.length === 0 || isAfter(until, items.at(-1))) ? { until, items } : undefined
  }
  if (!Array.isArray(parts) || parts.length === 0 || parts.length > PARTS) return undefined
  const parsed: Part[] = []
  for (const [i, part] of (parts as unknown[]).entries()) {
    const isLast = i === parts.length - 1
    if (!isObject(part) || !isEnd(part.until, parsed.at(-1)?.until ?? asked.from)) return undefined
    if (!isCount(part.count) || !isFingerprint(part.fingerprint)) return undefined
    if (isLast !== (part.until === null) || isAfter(part.until ?? until, until)) return undefined
    parsed.push({ until: part.until ?? until, count: part.count, fingerprint: part.fingerprint })
  }
  return { until, parts: parsed }
}

/** Whether the first end lies behind the second one; undefined is the end of everything. */
function isAfter(end: ItemKey | undefined, other: ItemKey | undefined): boolean {
  return other !== undefined && (end === undefined || end > other)
}

function isItem(value: unknown): value is ItemKey {
  return typeof value === 'string' && ITEM.test(value)
}

function isBound(value: unknown): value is ItemKey {
  return value === '' || isItem(value)
}

function isEnd(value: unknown, from: ItemKey): value is ItemKey | null {
  return value === null || (isItem(value) && value > from)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isFingerprint(value: unknown): value is string {
  return typeof value === 'string' && FINGERPRINT.test(value)
}

function isTimeToLive(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= LONGEST_TIME_TO_LIVE
}

function invalid(description: string) {
  return badRequest('ERR_INVALID_RECONCILIATION', description)
}
