import type { PublicEndpoint } from '../endpoint.js'
import type { Metrics } from '../metrics.js'

/** GET /metrics, on the admin port only: Prometheus's text format. */
export const metrics: PublicEndpoint<{ readonly metrics: Metrics }> = {
  method: 'GET',
  path: '/metrics',
  authenticated: false,
  async handler(_request, context) {
    return {
      headers: { 'content-type': context.metrics.contentType },
      body: Buffer.from(await context.metrics.text())
    }
  }
}
