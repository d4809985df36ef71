import type { PublicEndpoint } from '../../src/endpoint.js'
import { type ApiError, badRequest } from '../../src/errors.js'
import type { OverlayContext } from './overlay-context.js'

const LARGEST_BODY = 1024 * 1024
const MAX_TOPICS = 16

/**
 * POST /submit (BRC-22, as BRC-87 hosts speak it): a transaction for the topics of this host.
 *
 * Body: BEEF, at most 1 MiB, as `application/octet-stream`; with `x-includes-off-chain-values: true` framed by its length.
 * Header `x-topics`: JSON array of topic names. Answers `{<topic>: {outputsToAdmit, coinsToRetain, coinsRemoved}}`; a
 * transaction submitted before is told what it was told then, so that a broadcaster sees a repeat as a success.
 *
 * Errors: 400 ERR_INVALID_CONTENT_TYPE, ERR_INVALID_TOPICS, ERR_UNKNOWN_TOPIC, ERR_INVALID_BEEF, ERR_INVALID_TRANSACTION;
 * 413 ERR_REQUEST_TOO_LARGE; 503 ERR_BUSY.
 */
export const submit: PublicEndpoint<OverlayContext> = {
  method: 'POST',
  path: '/submit',
  authenticated: false,
  bodyLimit: () => LARGEST_BODY,
  async handler({ headers, body }, { overlay: { host } }) {
    const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
    if (type !== 'application/octet-stream') {
      throw badRequest('ERR_INVALID_CONTENT_TYPE', 'Send BEEF as application/octet-stream.')
    }
    const topics = parseTopics(headers['x-topics'])
    const isFramed = headers['x-includes-off-chain-values'] === 'true'
    return { body: await host.submitForStranger(body, topics, isFramed) }
  }
}

function parseTopics(header: string | string[] | undefined): string[] {
  const topics = typeof header === 'string' ? parseArray(header) : undefined
  if (topics === undefined || topics.length === 0 || topics.length > MAX_TOPICS) throw invalidTopics()
  return topics.map(topic => {
    if (typeof topic !== 'string') throw invalidTopics()
    return topic
  })
}

function parseArray(text: string): unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

function invalidTopics(): ApiError {
  const rule = `a JSON array of 1 to ${MAX_TOPICS} topic names, for instance ["tm_phip"]`
  return badRequest('ERR_INVALID_TOPICS', `The header x-topics must be ${rule}.`)
}
