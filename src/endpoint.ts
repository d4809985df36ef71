import type { IncomingHttpHeaders } from 'node:http'
import type { Caller } from './auth/caller.js'
import type { Limits } from './config.js'
import type { Context } from './context.js'

/** One call of the API. Endpoint files export one each; `createApp` mounts them. */
export type Endpoint<C = Context> = PublicEndpoint<C> | AuthenticatedEndpoint<C>

interface EndpointBase {
  readonly method: 'GET' | 'POST'
  /** Literal, from `/`; matched whole and case-sensitively, after repeated slashes were collapsed. */
  readonly path: string
  /** Most bytes of a request body; `limits.requestBytes` where absent. */
  readonly bodyLimit?: (limits: Limits) => number
  /** Not counted in any rate: whoever spends what his address may ask must not make the node look ill. */
  readonly unlimited?: true
}

/** Answers anybody. */
export interface PublicEndpoint<C = Context> extends EndpointBase {
  readonly authenticated: false
  /** Whoever asks within a session gets an answer signed for it: peers believe no other. */
  readonly signedInSession?: true
  readonly handler: (request: EndpointRequest, context: C) => Promise<Reply>
}

/** Answers proven callers only; every answer is signed for the caller's session, errors too. */
export interface AuthenticatedEndpoint<C = Context> extends EndpointBase {
  readonly authenticated: true
  /** Other hosts call it, with a rate of their own. */
  readonly forHosts?: true
  readonly handler: (request: AuthenticatedRequest, context: C) => Promise<Reply>
}

export interface EndpointRequest {
  /** Lower-case names, as Node has them. */
  readonly headers: IncomingHttpHeaders
  readonly query: URLSearchParams
  /** The whole body as it was sent; empty for none. */
  readonly body: Buffer
  /** The client's address as the trusted proxies tell it. */
  readonly clientAddress: string
  /** Calls back when nobody waits for the answer any more, at once if that is so already. */
  whenLeft(listener: () => void): void
  /**
   * The body as strict JSON (src/json.ts), parsed at each call.
   *
   * @throws ApiError 400 ERR_INVALID_JSON
   */
  json(): unknown
}

export interface AuthenticatedRequest extends EndpointRequest {
  readonly caller: Caller
}

export interface Reply {
  /** 200 where absent. Never 204 or another status without a body: stock clients hang on it. */
  readonly status?: number
  /**
   * Sent as JSON; a Buffer is sent as it is, and of public endpoints a Readable as it comes, with `content-type` among the
   * headers.
   */
  readonly body: object
  /** Lower-case names. `x-bsv-*` headers are signed for authenticated callers. */
  readonly headers?: Readonly<Record<string, string>>
}

/** An endpoint together with the context its handler gets. */
export type MountedEndpoint = Endpoint<void>

/** Gives endpoints their context: `createApp` takes some of the local node and some of the federation, whose is wider. */
export function mountEndpoints<C>(endpoints: readonly Endpoint<C>[], context: C): MountedEndpoint[] {
  return endpoints.map(endpoint =>
    endpoint.authenticated
      ? { ...endpoint, handler: (request: AuthenticatedRequest) => endpoint.handler(request, context) }
      : { ...endpoint, handler: (request: EndpointRequest) => endpoint.handler(request, context) }
  )
}
