import type { EndpointRequest, PublicEndpoint, Reply } from '../../src/endpoint.js'
import { ApiError } from '../../src/errors.js'
import { requestForeignGaspNode, requestSyncResponse } from './gasp.js'
import { lookup } from './lookup.js'
import type { OverlayContext } from './overlay-context.js'
import {
  getDocumentationForLookupServiceProvider,
  getDocumentationForTopicManager,
  listLookupServiceProviders,
  listTopicManagers
} from './overlay-listings.js'
import { submit } from './submit.js'

/** What overlay hosts and stock overlay tools call. All of it answers anybody. */
export const overlayEndpoints: readonly PublicEndpoint<OverlayContext>[] = [
  submit,
  lookup,
  listTopicManagers,
  listLookupServiceProviders,
  getDocumentationForTopicManager,
  getDocumentationForLookupServiceProvider,
  requestSyncResponse,
  requestForeignGaspNode
].map(withMessage)

/** Overlay tools read what went wrong from `message`. */
function withMessage(endpoint: PublicEndpoint<OverlayContext>): PublicEndpoint<OverlayContext> {
  return {
    ...endpoint,
    async handler(request: EndpointRequest, context: OverlayContext): Promise<Reply> {
      try {
        return await endpoint.handler(request, context)
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        const details = { ...error.details, message: error.message }
        throw new ApiError(error.httpStatus, error.code, error.message, details, error.headers)
      }
    }
  }
}
