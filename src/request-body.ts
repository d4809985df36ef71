import type { IncomingMessage } from 'node:http'
import { Deadlines } from './deadlines.js'
import { ApiError } from './errors.js'

/** Most bytes taken from somebody who has shown no sign of being known. */
export const STRANGER_BODY_LIMIT = 65_536

/** The slowest sender that is waited for. */
export interface MinimumRate {
  /** Bytes that must arrive … */
  readonly bytes: number
  /** … in each such time, ms. */
  readonly milliseconds: number
}

/** 1 KiB/s over 10 s. A body that is complete is never late. */
export const MINIMUM_RATE: MinimumRate = { bytes: 10_240, milliseconds: 10_000 }

/** How long to wait for the rest of a body nobody wants: all of it has to come at once. */
const DISCARD_RATE: MinimumRate = { bytes: Number.POSITIVE_INFINITY, milliseconds: 500 }

/** The client went away in the middle of its request: nobody is left to answer, and nothing is wrong here. */
export class RequestAborted extends Error {
  constructor() {
    super('the client closed the connection before its request was complete')
    this.name = 'RequestAborted'
  }
}

/**
 * Reads a request body, cutting it off as soon as it exceeds the limit: nothing beyond is kept, and a length that
 * is announced as too large is not read at all.
 *
 * @param limit bytes
 * @returns the body in the pieces it came in; no pieces for no body
 * @throws ApiError 415 ERR_UNSUPPORTED_ENCODING for a compressed body, 413 ERR_REQUEST_TOO_LARGE, 408
 * ERR_REQUEST_TIMEOUT for one that comes too slowly; RequestAborted
 */
export async function readBody(
  request: IncomingMessage,
  limit: number,
  minimumRate: MinimumRate
): Promise<Buffer[]> {
  if (isEncoded(request)) {
    throw new ApiError(
      415,
      'ERR_UNSUPPORTED_ENCODING',
      'Send the body as it is, neither compressed nor encoded.'
    )
  }
  if (announcedLength(request) > limit) throw tooLarge(limit)
  if (!hasBody(request)) return []
  return collect(request, limit, minimumRate)
}

/** False if the headers say that no body follows. */
export function hasBody(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined || announcedLength(request) > 0
}

/** True if nothing of the request is left to be read. */
export function isRead(request: IncomingMessage): boolean {
  return request.complete || !hasBody(request)
}

/**
 * Reads the rest of a body and forgets it, so that the connection can be used again.
 *
 * @returns false if too much is left or it comes too slowly: then the connection has to be closed
 */
export async function discardBody(request: IncomingMessage): Promise<boolean> {
  if (isRead(request)) return true
  // Whoever began to read it and stopped has found it too long or too slow.
  const isUntouched = request.readableFlowing === null
  if (!isUntouched || announcedLength(request) > STRANGER_BODY_LIMIT) return false
  try {
    await collect(request, STRANGER_BODY_LIMIT, DISCARD_RATE)
    return true
  } catch {
    return false
  }
}

function isEncoded({ headers }: IncomingMessage): boolean {
  const content = headers['content-encoding']?.toLowerCase() ?? 'identity'
  const transfer = headers['transfer-encoding']?.toLowerCase() ?? 'chunked'
  return content !== 'identity' || transfer !== 'chunked'
}

function announcedLength(request: IncomingMessage): number {
  return Number(request.headers['content-length'] ?? 0)
}

/** By their length; those of two rates, and of tests. */
const deadlines = new Map<number, Deadlines>()

function deadlinesOf(milliseconds: number): Deadlines {
  let those = deadlines.get(milliseconds)
  if (those === undefined) {
    those = new Deadlines(milliseconds)
    deadlines.set(milliseconds, those)
  }
  return those
}

function collect(request: IncomingMessage, limit: number, minimumRate: MinimumRate): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    let length = 0
    let lengthBefore = 0
    let isFinished = false

    const rates = deadlinesOf(minimumRate.milliseconds)
    const look = (): void => {
      if (length - lengthBefore < minimumRate.bytes) finish(tooSlow())
      else rates.begin(look)
      lengthBefore = length
    }

    function onData(piece: Buffer): void {
      length += piece.length
      if (length > limit) finish(tooLarge(limit))
      else pieces.push(piece)
    }
    function onGone(): void {
      if (!isFinished) finish(new RequestAborted())
    }
    function finish(error: Error | undefined): void {
      isFinished = true
      rates.end(look)
      if (error === undefined) {
        resolve(pieces)
      } else {
        request.off('data', onData)
        request.pause()
        reject(error)
      }
    }
    if (request.destroyed || request.readableEnded) {
      onGone()
      return
    }
    rates.begin(look)
    // The last two stay: aborting emits an error afterwards, too; without a listener it would end the process.
    request
      .on('data', onData)
      .on('end', () => {
        if (!isFinished) finish(undefined)
      })
      .on('close', onGone)
      .on('error', onGone)
  })
}

function tooLarge(limit: number): ApiError {
  const description = `The request body is larger than the ${limit} bytes that are taken here.`
  return new ApiError(413, 'ERR_REQUEST_TOO_LARGE', description, { limit })
}

function tooSlow(): ApiError {
  return new ApiError(408, 'ERR_REQUEST_TIMEOUT', 'The request body came too slowly.')
}
