import { LRUCache } from 'lru-cache'
import type { Context, Forwarding } from '../../src/context.js'
import { type IdentityKey, identityKeyBytes, identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { isObject } from '../../src/message.js'
import type { FeesElsewhere } from '../../src/permissions/fees-elsewhere.js'
import { parseFee } from '../../src/permissions/rule.js'
import type { PeerClient, PeerHost } from '../channel/peer-client.js'
import { hostsOfRecipients, type RecipientHost } from '../storage/recipient-hosts.js'

export interface FeesOfPeersContext
  extends Pick<Context, 'clock' | 'database' | 'keys' | 'logger' | 'operatorLists'> {
  readonly peers: PeerClient
  readonly forwarding: Forwarding
}

interface Told {
  /** Satoshis, 0 or -1. */
  readonly fee: number
  readonly askAgainAt: number
}

/** Of one sender for one box of one recipient, about 300 bytes each. */
const REMEMBERED = 10_000
const FRESH_MILLISECONDS = 15_000
/** Longer nobody who asks for a quote is kept waiting. */
const PATIENCE_MILLISECONDS = 2_000
/** Recipients in one call: a URL has its limits, too. */
const RECIPIENTS_AT_ONCE = 50

/**
 * Asks the hosts of recipients elsewhere what a message to them costs (GET /permissions/quote there). What a host has said
 * is taken for a quarter of a minute, and for as long as it is remembered where the host does not answer.
 */
export class FeesOfPeers implements FeesElsewhere {
  readonly #context: FeesOfPeersContext
  readonly #told = new LRUCache<string, Told>({ max: REMEMBERED })
  /** Calls under way, by what they ask. */
  readonly #asking = new Map<string, Promise<void>>()

  constructor(context: FeesOfPeersContext) {
    this.#context = context
  }

  async of(
    sender: IdentityKey,
    messageBox: string,
    recipients: readonly IdentityKey[]
  ): Promise<ReadonlyMap<IdentityKey, number>> {
    const hosts = await this.#hostsElsewhere(messageBox, recipients)
    const now = this.#context.clock.now()
    const keyOf = (recipient: IdentityKey) => JSON.stringify([sender, recipient, messageBox])
    const isKnown = (recipient: IdentityKey) => (this.#told.get(keyOf(recipient))?.askAgainAt ?? 0) > now
    const calls: Promise<void>[] = []
    for (const { host, recipients } of hosts.values()) {
      const unknown = recipients.filter(recipient => !isKnown(recipient))
      for (let at = 0; at < unknown.length; at += RECIPIENTS_AT_ONCE) {
        calls.push(this.#ask(host, sender, messageBox, unknown.slice(at, at + RECIPIENTS_AT_ONCE), keyOf))
      }
    }
    await patiently(calls)
    return new Map(
      [...hosts.values()]
        .flatMap(({ recipients }) => recipients)
        .map(recipient => [recipient, this.#told.get(keyOf(recipient))?.fee ?? 0])
    )
  }

  /** The newest host of each recipient who has hosts for this box, none of them this one. */
  async #hostsElsewhere(
    messageBox: string,
    recipients: readonly IdentityKey[]
  ): Promise<Map<string, { host: PeerHost; recipients: IdentityKey[] }>> {
    const { database, forwarding, keys, operatorLists } = this.#context
    const rows = await hostsOfRecipients(database, recipients.map(identityKeyBytes))
    const byRecipient = new Map<IdentityKey, PeerHost[]>()
    for (const row of rows) {
      if (row.box_expression !== null && !forwarding.matches(row.box_expression, messageBox)) continue
      const recipient = identityKeyFromBytes(row.recipient)
      const hosts = byRecipient.get(recipient)
      if (hosts === undefined) byRecipient.set(recipient, [toPeerHost(row)])
      else hosts.push(toPeerHost(row))
    }
    const byHost = new Map<string, { host: PeerHost; recipients: IdentityKey[] }>()
    for (const [recipient, hosts] of byRecipient) {
      if (hosts.some(({ operatorKey }) => operatorKey === keys.identityKey)) continue
      const chosen = hosts.find(
        ({ domain, operatorKey }) =>
          operatorLists.servesHost(operatorKey) && operatorLists.servesDomain(domain)
      )
      if (chosen === undefined) continue
      const name = `${chosen.operatorKey} ${chosen.domain}`
      const group = byHost.get(name)
      if (group === undefined) byHost.set(name, { host: chosen, recipients: [recipient] })
      else group.recipients.push(recipient)
    }
    return byHost
  }

  /** Never rejects. */
  #ask(
    host: PeerHost,
    sender: IdentityKey,
    messageBox: string,
    recipients: readonly IdentityKey[],
    keyOf: (recipient: IdentityKey) => string
  ): Promise<void> {
    const parameters = new URLSearchParams({ messageBox, sender })
    for (const recipient of recipients) parameters.append('recipient', recipient)
    const query = parameters.toString()
    const name = `${host.operatorKey} ${query}`
    const running = this.#asking.get(name)
    if (running !== undefined) return running
    const { clock, logger, peers } = this.#context
    const asking = peers
      .get(host, '/permissions/quote', query, { timeouts: { total: PATIENCE_MILLISECONDS } })
      .then(answer => {
        const askAgainAt = clock.now() + FRESH_MILLISECONDS
        if (answer.status !== 200) return
        for (const [recipient, fee] of quotedFees(answer.json(), recipients)) {
          this.#told.set(keyOf(recipient), { fee, askAgainAt })
        }
      })
      .catch(error => logger.debug({ err: error, domain: host.domain }, 'a host gave no quote'))
      .finally(() => this.#asking.delete(name))
    this.#asking.set(name, asking)
    return asking
  }
}

function toPeerHost({ domain, operator_key }: RecipientHost): PeerHost {
  return { domain, operatorKey: identityKeyFromBytes(operator_key) }
}

/** What a host says of those who were asked for; what is no fee is passed over. */
function quotedFees(body: unknown, asked: readonly IdentityKey[]): [IdentityKey, number][] {
  if (!isObject(body)) return []
  const { quote, quotesByRecipient } = body
  const quotes = Array.isArray(quotesByRecipient)
    ? (quotesByRecipient as unknown[]).filter(isObject)
    : isObject(quote) && asked.length === 1
      ? [{ ...quote, recipient: asked[0] }]
      : []
  return quotes.flatMap(({ recipient, recipientFee }): [IdentityKey, number][] => {
    const known = asked.find(key => key === recipient)
    const fee = feeIn(recipientFee)
    return known === undefined || fee === undefined ? [] : [[known, fee]]
  })
}

function feeIn(value: unknown): number | undefined {
  try {
    return parseFee(value)
  } catch {
    return undefined
  }
}

/** Waits for calls that never reject, but not longer than anybody is kept waiting. */
async function patiently(calls: readonly Promise<void>[]): Promise<void> {
  if (calls.length === 0) return
  let timer: NodeJS.Timeout | undefined
  const patience = new Promise<void>(resolve => {
    timer = setTimeout(resolve, PATIENCE_MILLISECONDS)
  })
  await Promise.race([Promise.all(calls), patience])
  clearTimeout(timer)
}
