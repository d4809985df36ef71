import type Koa from 'koa'
import type { Caller } from './auth/caller.js'
import type { RequestTarget } from './auth/request-target.js'

/** What the middleware learns about a request, in the order of src/app.ts. */
export interface RequestState {
  clientAddress: string
  /** As signed; routing uses Koa's `ctx.path`, where repeated slashes are collapsed. */
  target: RequestTarget
  body: Buffer
  /** Set on authenticated endpoints. */
  caller?: Caller
}

export type RequestContext = Koa.ParameterizedContext<RequestState>
export type Middleware = Koa.Middleware<RequestState>
