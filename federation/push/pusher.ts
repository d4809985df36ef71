import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import { FCM_HOST } from '../storage/devices.js'
import { claimPushes, type DuePush, deactivateDevice, deferPush, settlePush } from '../storage/pushes.js'
import type { PushContext } from './context.js'
import { HostTurns } from './host-turns.js'
import type { PushOutcome } from './push-service.js'
import { MOST_FAILURES, waitAfter } from './retry-policy.js'

/** Devices of one push service that are pushed to at once. */
const BATCH = 20

/** Pushes to what is due. Claims short, calls unlocked, records short: a process that dies costs a repeated push. */
export class Pusher {
  readonly #context: PushContext
  readonly #turns = new HostTurns([FCM_HOST])
  #isStopping = false

  constructor(context: PushContext) {
    this.#context = context
  }

  /** Pushes to all devices of one push service that are due; ends early where it fails. The sweep comes back to the rest. */
  async run(host: string): Promise<void> {
    if (!this.#turns.begin(host)) return
    try {
      while (!this.#isStopping && (await this.#batch(host)));
    } finally {
      this.#turns.end(host)
    }
  }

  /** Begins nothing new. */
  stop(): void {
    this.#isStopping = true
  }

  /** @returns whether there may be more that is worth a call now */
  async #batch(host: string): Promise<boolean> {
    const { database, clock, pushRules, claimMilliseconds } = this.#context
    const now = clock.now()
    const due = await claimPushes(database, host, now, now + claimMilliseconds, pushRules, BATCH)
    const results = await Promise.all(due.map(push => this.#push(push)))
    if (results.includes('failed')) this.#turns.failed(host)
    else if (results.includes('pushed')) this.#turns.worked(host)
    return due.length === BATCH && !results.includes('failed')
  }

  async #push(push: DuePush): Promise<PushOutcome['result'] | 'nothing'> {
    const { database, clock, pushRules, metrics, logger, random } = this.#context
    const outcome = await this.#attempt(push)
    if (outcome === undefined) {
      await settlePush(database, push, false, pushRules, clock.now())
      return 'nothing'
    }
    metrics.pushed(push.to.service, outcome.result)
    if (outcome.result === 'pushed') {
      await settlePush(database, push, true, pushRules, clock.now())
    } else {
      const { result, answer } = outcome
      logger.debug({ device: push.id, service: push.to.service, result, answer }, 'a push was not taken')
      const failures = push.failures + 1
      if (result === 'gone' || failures >= MOST_FAILURES) await deactivateDevice(database, push)
      else await deferPush(database, push, clock.now() + waitAfter(failures, outcome.retryAfter, random()))
    }
    return outcome.result
  }

  /** Undefined: there is nothing to tell, or nobody to tell it to. */
  async #attempt({ id, to, recipient, boxes }: DuePush): Promise<PushOutcome | undefined> {
    const { pushServices, operatorLists, config, logger } = this.#context
    const service = pushServices.get(to.service)
    if (boxes.length === 0 || service === undefined) return undefined
    if (!operatorLists.servesIdentity(identityKeyFromBytes(recipient))) return undefined
    try {
      return await service.push(to, { host: config.publicDomain, messageBoxes: boxes })
    } catch (error) {
      // A mistake of this program, which must not keep the others from being pushed to.
      logger.error({ err: error, device: id }, 'a push failed')
      return { result: 'failed', answer: 'internal', retryAfter: undefined }
    }
  }
}
