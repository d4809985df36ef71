/**
 * A channel between the processes of one node. What is published reaches every process that is connected at that
 * moment, the publisher too; nothing is kept.
 */
export interface Notifications {
  /** Rejects while the channel is away. At most PAYLOAD_BYTES of UTF-8. */
  publish(payload: string): Promise<void>
  /** Closes the connection. */
  close(): Promise<void>
}

export interface NotificationListener {
  /** Something was published. */
  heard(payload: string): void
  /** The channel is there, for the first time or again: what was published before may have been missed. */
  connected(): void
}

/** Opens the channel and keeps it open; does not wait for it. */
export type OpenNotifications = (listener: NotificationListener) => Notifications

/** Postgres takes 7,999 bytes. */
export const PAYLOAD_BYTES = 7_900
