import { Redis } from 'ioredis'
import type { NotificationListener, Notifications } from './notifications.js'

const COMMAND_MILLISECONDS = 2_000

/** Notifications by Redis pub/sub: one connection that listens can do nothing else, so there are two. */
export function redisNotifications(
  redisUrl: string,
  channel: string,
  listener: NotificationListener
): Notifications {
  const listening = new Redis(redisUrl, { maxRetriesPerRequest: null })
  const publishing = new Redis(redisUrl, { maxRetriesPerRequest: 0, commandTimeout: COMMAND_MILLISECONDS })
  // What fails because of it is told by whoever publishes; without a listener it would end the process.
  for (const redis of [listening, publishing]) redis.on('error', () => {})
  listening.on('message', (_channel: string, payload: string) => listener.heard(payload))
  // ioredis subscribes again by itself after a reconnect, but tells it only to whoever asks.
  listening.on('ready', () => {
    listening.subscribe(channel).then(
      () => listener.connected(),
      () => undefined
    )
  })
  return {
    async publish(payload) {
      await publishing.publish(channel, payload)
    },
    async close() {
      listening.disconnect()
      publishing.disconnect()
    }
  }
}
