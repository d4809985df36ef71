import type { Context } from '../../src/context.js'
import type { OutboundDoor } from '../channel/guarded-fetch.js'
import type { JobQueue } from '../queue.js'
import type { PushServiceName } from '../storage/devices.js'
import { AccessTokens } from './access-token.js'
import { createApplicationKey } from './application-key.js'
import type { PushContext, PushOffer } from './context.js'
import { createFcm } from './fcm.js'
import { PushMarks } from './marks.js'
import type { PushService } from './push-service.js'
import { Pusher } from './pusher.js'
import type { ServiceAccount } from './service-account.js'
import { startPushSweep } from './sweep.js'
import { createWebPush } from './web-push.js'

/** Between two pushes to one device, ms. */
const INTERVAL = 5_000

/** Tells devices that something has arrived. */
export interface Push {
  readonly offer: PushOffer
  /** Works on the job of one push service's host. */
  run(host: string): Promise<void>
  /** Looks for work; without a service there is none. */
  startWorker(): { stop(): Promise<void> }
  close(): Promise<void>
}

export interface PushOptions {
  readonly context: Context
  readonly door: OutboundDoor
  readonly queue: JobQueue
  /** Undefined: no FCM. */
  readonly serviceAccount: ServiceAccount | undefined
  readonly random: () => number
  readonly claimMilliseconds: number
}

/** Makes the services that are configured, and listens for what this process takes. */
export function createPush(options: PushOptions): Push {
  const { context, door, queue, serviceAccount, random, claimMilliseconds } = options
  const { config, keys, clock, arrivals } = context
  const { contact, messageBoxes } = config.push
  const services = new Map<PushServiceName, PushService>()
  let applicationServerKey: string | undefined
  if (contact !== undefined) {
    const applicationKey = createApplicationKey(keys)
    applicationServerKey = applicationKey.publicKey
    services.set('web-push', createWebPush({ door, clock, applicationKey, contact }))
  }
  if (serviceAccount !== undefined) {
    const tokens = new AccessTokens(door, clock, serviceAccount)
    services.set('fcm', createFcm(door, tokens, serviceAccount.projectId))
  }
  const offer = { services: new Set(services.keys()), applicationServerKey, messageBoxes }
  const pushContext: PushContext = {
    ...context,
    queue,
    pushServices: services,
    pushRules: { boxes: messageBoxes, services: [...services.keys()], interval: INTERVAL },
    random,
    claimMilliseconds
  }
  const pusher = new Pusher(pushContext)
  const isOn = services.size > 0 && messageBoxes.length > 0
  const marks = new PushMarks(pushContext)
  const unfollow = isOn ? arrivals.follow(taken => marks.arrived(taken)) : () => undefined
  return {
    offer,
    run: host => pusher.run(host),
    startWorker() {
      const sweep = isOn ? startPushSweep(pushContext) : undefined
      return {
        async stop() {
          pusher.stop()
          await sweep?.stop()
        }
      }
    },
    async close() {
      unfollow()
      await marks.close()
    }
  }
}
