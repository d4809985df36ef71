import type { PublicEndpoint, Reply } from '../../src/endpoint.js'
import { badRequest } from '../../src/errors.js'
import type { OverlayContext } from './overlay-context.js'

/** GET /listTopicManagers: `{<topic>: {name, shortDescription, …}}`. */
export const listTopicManagers: PublicEndpoint<OverlayContext> = {
  method: 'GET',
  path: '/listTopicManagers',
  authenticated: false,
  handler: async (_request, { overlay: { host } }) => ({ body: await host.listTopicManagers() })
}

/** GET /listLookupServiceProviders: `{<service>: {name, shortDescription, …}}`. */
export const listLookupServiceProviders: PublicEndpoint<OverlayContext> = {
  method: 'GET',
  path: '/listLookupServiceProviders',
  authenticated: false,
  handler: async (_request, { overlay: { host } }) => ({ body: await host.listLookupServiceProviders() })
}

/** GET /getDocumentationForTopicManager?manager=: Markdown. Errors: 400 ERR_MISSING_PARAMETER, ERR_UNKNOWN_TOPIC. */
export const getDocumentationForTopicManager: PublicEndpoint<OverlayContext> = {
  method: 'GET',
  path: '/getDocumentationForTopicManager',
  authenticated: false,
  handler: async ({ query }, { overlay: { host } }) =>
    markdown(await host.topicDocumentation(parameter(query, 'manager')))
}

/**
 * GET /getDocumentationForLookupServiceProvider?lookupService=: Markdown. Errors: 400 ERR_MISSING_PARAMETER,
 * ERR_UNKNOWN_SERVICE.
 */
export const getDocumentationForLookupServiceProvider: PublicEndpoint<OverlayContext> = {
  method: 'GET',
  path: '/getDocumentationForLookupServiceProvider',
  authenticated: false,
  handler: async ({ query }, { overlay: { host } }) =>
    markdown(await host.serviceDocumentation(parameter(query, 'lookupService')))
}

function parameter(query: URLSearchParams, name: string): string {
  const value = query.get(name)
  if (value === null || value === '')
    throw badRequest('ERR_MISSING_PARAMETER', `The parameter ${name} is missing.`)
  return value
}

function markdown(text: string): Reply {
  return { body: Buffer.from(text), headers: { 'content-type': 'text/markdown; charset=utf-8' } }
}
