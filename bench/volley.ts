import { setTimeout as delay } from 'node:timers/promises'
import { BenchError } from './bench-error.js'
import { type Connections, type HttpAnswer, type PreparedRequest, summaryOf } from './client.js'
import type { Meter, Usage } from './meter.js'

/** A request and what came back. */
export interface Shot<Request extends PreparedRequest> {
  readonly request: Request
  readonly answer: HttpAnswer
}

export interface Volley<Request extends PreparedRequest> {
  /** The first so many of the requests were sent, and all of them answered as they should. */
  readonly fired: number
  readonly seconds: number
  /** Milliseconds, in the order of the answers. */
  readonly latencies: readonly number[]
  readonly samples: readonly Shot<Request>[]
  /** Of the node meanwhile; undefined where it cannot be read. */
  readonly usage: Usage | undefined
}

export interface VolleyOptions {
  /** The status that every answer must have. */
  readonly status: number
  /** Answers to keep for checking. */
  readonly samples: number
  /** Nothing is sent after this, ms. */
  readonly longest: number
  readonly meter: Meter | undefined
  /** Called at the end, before anything is checked. */
  readonly afterwards?: () => Promise<void>
}

/** Connections that the node has closed while requests were signed are noticed in this time, ms. */
const SETTLE_MILLISECONDS = 50

/**
 * Sends prepared requests over all connections at once and measures; nothing is computed or checked meanwhile.
 *
 * @throws BenchError if any answer is not what it must be: what fails quickly is not fast
 */
export async function fire<Request extends PreparedRequest>(
  connections: Connections,
  requests: readonly Request[],
  { status, samples, longest, meter, afterwards }: VolleyOptions
): Promise<Volley<Request>> {
  await delay(SETTLE_MILLISECONDS)
  const every = Math.max(1, Math.floor(requests.length / Math.max(samples, 1)))
  const latencies: number[] = []
  const kept: Shot<Request>[] = []
  let refused = 0
  let firstRefusal: HttpAnswer | undefined
  let next = 0

  meter?.start()
  const begin = performance.now()
  const end = begin + longest
  const lane = async (): Promise<void> => {
    for (let sent = performance.now(); next < requests.length && sent < end; sent = performance.now()) {
      const index = next++
      const request = requests[index]!
      const answer = await connections.send(request)
      latencies.push(performance.now() - sent)
      if (answer.status !== status) {
        refused++
        firstRefusal ??= answer
      } else if (index % every === 0 && samples > 0) {
        kept.push({ request, answer })
      }
    }
  }
  await Promise.all(Array.from({ length: connections.concurrency }, lane))
  const seconds = (performance.now() - begin) / 1000
  const usage = meter?.stop()
  await afterwards?.()

  if (firstRefusal !== undefined) {
    throw new BenchError(
      `${refused} of ${next} answers are not ${status}; the first: ${summaryOf(firstRefusal)}`
    )
  }
  return { fired: next, seconds, latencies, samples: kept, usage }
}

/** Sends requests that are not measured. */
export async function fireQuietly(
  connections: Connections,
  requests: readonly PreparedRequest[]
): Promise<void> {
  const options = { status: 200, samples: 0, longest: Number.POSITIVE_INFINITY, meter: undefined }
  await fire(connections, requests, options)
}
