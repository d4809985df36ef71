import { setTimeout as delay } from 'node:timers/promises'
import { ALL_LANES, claimDeliveries, type DueDelivery } from '../storage/deliveries.js'
import { type EnvelopeRow, findEnvelopes } from '../storage/envelopes.js'
import type { DeliveryContext } from './engine.js'
import { handOn } from './hand-on.js'
import type { HeldClaims } from './held-claims.js'
import { HostWindow } from './host-window.js'
import type { Settlements } from './settlements.js'

/** What ends or comes within so many ms is one claim. */
const GATHER_MILLISECONDS = 2
/** Claims in a row that may find nothing but go on looking, before others have their turn. */
const EMPTY_CLAIMS = 4

/** What this process remembers of a host between two drains. */
export class HostState {
  readonly window = new HostWindow()
  /** Calls that it has answered. */
  answers = 0
  /** It answered the last call that ended. */
  isWell = false
  /** Where the last claim stopped looking. */
  walkedTo = ALL_LANES
}

/**
 * Hands on what is due for a domain until nothing is, or the domain fails. Several processes may do so at once: what one
 * has claimed the others pass over.
 */
export class Drain {
  readonly #context: DeliveryContext
  readonly #settlements: Settlements
  readonly #claims: HeldClaims
  readonly #domain: string
  readonly #host: HostState
  #calls = 0
  /** There may be something to claim. */
  #isPromising = true
  #isOver = false
  #wake: (() => void) | undefined

  constructor(
    context: DeliveryContext,
    parts: { readonly settlements: Settlements; readonly claims: HeldClaims },
    domain: string,
    host: HostState
  ) {
    this.#context = context
    this.#settlements = parts.settlements
    this.#claims = parts.claims
    this.#domain = domain
    this.#host = host
  }

  /** More has been committed for the domain. */
  nudge(): void {
    this.#isPromising = true
    this.#wake?.()
  }

  /** It was told of more, and did not look. */
  get isUnfinished(): boolean {
    return this.#isPromising && !this.#isOver
  }

  /** Claims nothing more; what is under way is finished. */
  stop(): void {
    this.#isOver = true
  }

  async run(): Promise<void> {
    let empty = 0
    for (;;) {
      const free = this.#host.window.size - this.#calls
      if (this.#isPromising && !this.#isOver && free > 0) {
        this.#isPromising = false
        const { deliveries, hasMore } = await this.#claim(free)
        await this.#begin(deliveries)
        empty = deliveries.length === 0 ? empty + 1 : 0
        if (hasMore && empty < EMPTY_CLAIMS) this.#isPromising = true
      }
      if (this.#calls === 0) {
        if (this.#isOver || !this.#isPromising) return
      } else if (!this.#isPromising || this.#isOver || this.#host.window.size <= this.#calls) {
        await this.#untilWoken()
      }
    }
  }

  async #claim(limit: number): Promise<{ deliveries: DueDelivery[]; hasMore: boolean }> {
    const { database, clock, claimMilliseconds } = this.#context
    const now = clock.now()
    const before = this.#host.walkedTo
    const { deliveries, walkedTo } = await claimDeliveries(
      database,
      this.#domain,
      now,
      now + claimMilliseconds,
      limit,
      before
    )
    this.#host.walkedTo = walkedTo
    const isProbe = deliveries.some(({ failing }) => failing)
    return { deliveries, hasMore: !isProbe && walkedTo !== before && walkedTo !== ALL_LANES }
  }

  async #begin(claimed: readonly DueDelivery[]): Promise<void> {
    if (claimed.length === 0) return
    const ids = claimed.map(delivery => delivery.envelope_id)
    const envelopes = await findEnvelopes(this.#context.database, ids)
    for (const deliveries of byEnvelope(claimed)) {
      void this.#call(deliveries, envelopes.get(deliveries[0]!.envelope_id.toString('hex')))
    }
  }

  async #call(deliveries: readonly DueDelivery[], envelope: EnvelopeRow | undefined): Promise<void> {
    this.#calls++
    this.#claims.hold(deliveries)
    try {
      const call = { domain: this.#domain, host: this.#host, settlements: this.#settlements }
      const answered = await handOn(this.#context, call, deliveries, envelope)
      if (!answered) this.#isOver = true
    } catch (error) {
      // Of our own: what was claimed is tried again when its claim ends.
      this.#context.logger.error({ err: error, domain: this.#domain }, 'an attempt broke off')
      this.#isOver = true
    } finally {
      this.#claims.release(deliveries)
      this.#calls--
      // Its lanes are free.
      this.nudge()
    }
  }

  async #untilWoken(): Promise<void> {
    await new Promise<void>(resolve => {
      this.#wake = resolve
    })
    this.#wake = undefined
    if (this.#calls > 0) await delay(GATHER_MILLISECONDS)
  }
}

/** One call may carry several deliveries of one envelope to one host. */
function byEnvelope(deliveries: readonly DueDelivery[]): DueDelivery[][] {
  const groups = new Map<string, DueDelivery[]>()
  for (const delivery of deliveries) {
    const key = delivery.envelope_id.toString('hex') + delivery.host_key.toString('hex')
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [delivery])
    else group.push(delivery)
  }
  return [...groups.values()]
}
