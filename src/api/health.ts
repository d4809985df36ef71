import type { PublicEndpoint } from '../endpoint.js'
import { ApiError } from '../errors.js'

/** What the node needs to do its work; `check` rejects while it is away. */
export interface Dependency {
  readonly name: string
  readonly check: () => Promise<unknown>
}

export interface HealthContext {
  readonly dependencies: readonly Dependency[]
  readonly draining: { readonly active: boolean }
}

/** A check that hangs counts as failed after this long, ms. */
const CHECK_MILLISECONDS = 2_000

/** GET /healthz: the process runs and answers. */
export const healthz: PublicEndpoint<HealthContext> = {
  method: 'GET',
  path: '/healthz',
  authenticated: false,
  unlimited: true,
  async handler() {
    return { body: { status: 'success' } }
  }
}

/**
 * GET /readyz: whether to send requests here. 503 ERR_NOT_READY, with the state of each dependency, while one of them is
 * away and from the moment at which the node begins to stop.
 */
export const readyz: PublicEndpoint<HealthContext> = {
  method: 'GET',
  path: '/readyz',
  authenticated: false,
  unlimited: true,
  async handler(_request, { dependencies, draining }) {
    const states = await Promise.all(dependencies.map(stateOf))
    const checks = Object.fromEntries(states)
    if (draining.active) throw notReady('The node is stopping.', checks)
    if (states.some(([, state]) => state !== 'ok'))
      throw notReady('Something the node needs is away.', checks)
    return { body: { status: 'success', checks } }
  }
}

async function stateOf({ name, check }: Dependency): Promise<[name: string, state: 'ok' | 'away']> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(reject, CHECK_MILLISECONDS)
  })
  try {
    await Promise.race([check(), late])
    return [name, 'ok']
  } catch {
    // What is wrong stands in the log; strangers read this.
    return [name, 'away']
  } finally {
    clearTimeout(timer)
  }
}

function notReady(description: string, checks: Record<string, string>): ApiError {
  return new ApiError(503, 'ERR_NOT_READY', description, { checks }, { 'retry-after': '1' })
}
