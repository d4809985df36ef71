import type { Readable } from 'node:stream'
import type Koa from 'koa'
import type { Caller } from './auth/caller.js'
import type { RequestTarget } from './auth/request-target.js'

/** What the middleware learns about a request, in the order of src/app.ts. */
export interface RequestState {
  clientAddress: string
  /** As signed. */
  target: RequestTarget
  /** The target's path, where repeated slashes are collapsed: what routing goes by. */
  path?: string
  body: Buffer
  /** Set on authenticated endpoints. */
  caller?: Caller
  /** Undefined as long as there is none, and where the client went away. */
  answer?: Answer
}

/** What will be sent. */
export interface Answer {
  readonly status: number
  /** Beside those of every answer. */
  readonly headers: Record<string, string>
  readonly body: Buffer | Readable
}

export type RequestContext = Koa.ParameterizedContext<RequestState>
export type Middleware = Koa.Middleware<RequestState>
