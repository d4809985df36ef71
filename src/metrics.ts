import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** The registry of one node: several nodes in one process, as in tests, do not meet in prom-client's global one. */
export type Metrics = Registry

export { Counter, Gauge, Histogram }

/**
 * A registry with the metrics of the process itself (memory, event loop, garbage collection). Others register theirs
 * where they count: `new Counter({ name: 'peerserv_…', help: '…', registers: [metrics] })`.
 */
export function createMetrics(): Metrics {
  const metrics = new Registry()
  collectDefaultMetrics({ register: metrics })
  return metrics
}
