import { hash } from 'node:crypto'
import type { LookupFormula, LookupQuestion, LookupService } from '@bsv/overlay'
import { ANYONE_PUBLIC_KEY, type KeyDeriver } from '../../src/keys/key-deriver.js'
import { encodePushDrop } from '../phip/push-drop.js'
import { type ServiceDescription, SHIP_DESCRIPTION, SLAP_DESCRIPTION } from './documentation.js'
import { MadeUpFunding } from './funding.js'
import type { OverlayStorage, PreparedOutput } from './storage.js'
import { MESSAGEBOX_SERVICE, MESSAGEBOX_TOPIC, PHIP_SERVICE, PHIP_TOPIC } from './topics.js'

/** How SHIP and SLAP name themselves and derive their keys (BRC-88; as the reference topic managers check them). */
const PROTOCOLS = {
  SHIP: '2-service host interconnect-1',
  SLAP: '2-service lookup availability-1'
} as const

/** An advertisement of this host: that it takes a topic (SHIP), or answers a service (SLAP). */
export interface Advertisement extends PreparedOutput {
  readonly protocol: keyof typeof PROTOCOLS
  /** The topic's or the service's name. */
  readonly name: string
}

const NONCE_BYTES = 16

/**
 * SHIP and SLAP tokens by which stock overlay clients find this host when they ask it as their tracker. Funded by
 * made-up coins, so for `local` and `private` only; the same at every start and in every process.
 *
 * @param baseUrl of this host, without trailing slash
 */
export async function createAdvertisements(keys: KeyDeriver, baseUrl: string): Promise<Advertisement[]> {
  return Promise.all([
    createAdvertisement(keys, 'SHIP', baseUrl, PHIP_TOPIC),
    createAdvertisement(keys, 'SHIP', baseUrl, MESSAGEBOX_TOPIC),
    createAdvertisement(keys, 'SLAP', baseUrl, PHIP_SERVICE),
    createAdvertisement(keys, 'SLAP', baseUrl, MESSAGEBOX_SERVICE),
    createAdvertisement(keys, 'SLAP', baseUrl, SHIP_DESCRIPTION.name)
  ])
}

async function createAdvertisement(
  keys: KeyDeriver,
  protocol: Advertisement['protocol'],
  baseUrl: string,
  name: string
): Promise<Advertisement> {
  const invoiceNumber = PROTOCOLS[protocol]
  const fields: Uint8Array[] = [
    Buffer.from(protocol),
    keys.publicKey,
    Buffer.from(baseUrl),
    Buffer.from(name)
  ]
  fields.push(keys.sign(Buffer.concat(fields), invoiceNumber, ANYONE_PUBLIC_KEY))
  const lockingKey = keys.ownPublicKey(ANYONE_PUBLIC_KEY, invoiceNumber)
  const lockingScript = encodePushDrop({ lockingKey, fields, position: 'before' })
  const nonce = hash('sha256', lockingScript, 'buffer').subarray(0, NONCE_BYTES)
  const { txid, beef } = await new MadeUpFunding(() => nonce).fund([{ lockingScript, satoshis: 1 }], [])
  return { protocol, name, txid, outputIndex: 0, beef }
}

/** `ls_ship` or `ls_slap` with the advertisements of this host alone: whoever asks it asks about nobody else. */
export class AdvertisementService implements LookupService {
  readonly admissionMode = 'locking-script'
  readonly spendNotificationMode = 'none'
  readonly #storage: OverlayStorage
  readonly #advertisements: readonly Advertisement[]
  readonly #description: ServiceDescription
  /** The member of a query that names what is sought. */
  readonly #member: 'topics' | 'service'

  constructor(
    storage: OverlayStorage,
    advertisements: readonly Advertisement[],
    protocol: Advertisement['protocol']
  ) {
    this.#storage = storage
    this.#advertisements = advertisements.filter(advertisement => advertisement.protocol === protocol)
    this.#description = protocol === 'SHIP' ? SHIP_DESCRIPTION : SLAP_DESCRIPTION
    this.#member = protocol === 'SHIP' ? 'topics' : 'service'
  }

  outputAdmittedByTopic(): void {}

  outputEvicted(): void {}

  async lookup({ query }: LookupQuestion): Promise<LookupFormula> {
    const names = soughtNames(query, this.#member)
    const found = this.#advertisements.filter(({ name }) => names === undefined || names.includes(name))
    for (const advertisement of found) this.#storage.prepare(advertisement)
    return found.map(({ txid, outputIndex }) => ({ txid, outputIndex }))
  }

  async getDocumentation(): Promise<string> {
    return this.#description.documentation
  }

  async getMetaData(): Promise<ServiceDescription> {
    return this.#description
  }
}

/** @returns undefined for every name */
function soughtNames(query: unknown, member: 'topics' | 'service'): unknown[] | undefined {
  if (query === 'findAll') return undefined
  if (typeof query !== 'object' || query === null) return []
  const sought: { topics?: unknown; service?: unknown; findAll?: unknown } = query
  if (sought.findAll === true) return undefined
  const names = sought[member]
  return Array.isArray(names) ? names : [names]
}
