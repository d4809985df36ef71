import type { PublicEndpoint } from '../../src/endpoint.js'
import { badRequest } from '../../src/errors.js'
import { isObject } from '../../src/message.js'
import type { OverlayContext } from './overlay-context.js'

const LARGEST_BODY = 16 * 1024

/**
 * POST /lookup (BRC-24): a question to a lookup service of this host.
 *
 * Body: `{service, query}`, at most 16 KiB. Answers `{type: "output-list", outputs: [{beef, outputIndex}]}`, with BEEF as
 * an array of numbers; to `x-aggregation: yes` as `application/octet-stream`: the number of outputs, of each its
 * transaction's id as it is shown, its index and an empty context, then one BEEF with all transactions.
 *
 * Errors: 400 ERR_INVALID_JSON, ERR_INVALID_QUERY, ERR_UNKNOWN_SERVICE.
 */
export const lookup: PublicEndpoint<OverlayContext> = {
  method: 'POST',
  path: '/lookup',
  authenticated: false,
  signedInSession: true,
  bodyLimit: () => LARGEST_BODY,
  async handler(request, { overlay: { host } }) {
    const question = request.json()
    if (!isObject(question) || typeof question.service !== 'string') {
      throw badRequest('ERR_INVALID_QUERY', 'The body must be {"service": "ls_…", "query": …}.')
    }
    const outputs = await host.lookup(question.service, question.query)
    const aggregated = request.headers['x-aggregation'] === 'yes' ? host.aggregate(outputs) : undefined
    // Stock clients compare the whole header: with a charset they would read JSON.
    if (aggregated !== undefined)
      return { body: aggregated, headers: { 'content-type': 'application/octet-stream' } }
    const listed = outputs.map(({ beef, outputIndex }) => ({ beef: Array.from(beef), outputIndex }))
    return { body: { type: 'output-list', outputs: listed } }
  }
}
