import type { AuthenticatedEndpoint } from '../../src/endpoint.js'
import type { FederationContext } from '../context.js'
import { deliveries, delivery, dropDeliveries, retryDeliveries } from './operator-deliveries.js'
import { flushHost, forgetHost, holdHost, host, hosts, releaseHost } from './operator-hosts.js'
import { changeList, readList } from './operator-lists.js'

/** What the operator steers; on the admin port only, and for nobody else (src/operator-endpoint.ts). */
export const operatorEndpoints: readonly AuthenticatedEndpoint<FederationContext>[] = [
  changeList,
  readList,
  deliveries,
  delivery,
  retryDeliveries,
  dropDeliveries,
  hosts,
  host,
  flushHost,
  holdHost,
  releaseHost,
  forgetHost
]
