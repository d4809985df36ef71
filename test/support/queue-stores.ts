import { Redis } from 'ioredis'
import type { TestNode } from './nodes.js'

/** Where nodes may keep their queue. */
export interface QueueStore {
  readonly name: 'Postgres' | 'Redis'
  /** False on a machine without it: then the tests on it are skipped. */
  readonly isHere: boolean
  /** What makes a node use it. */
  readonly environment: Readonly<Record<string, string>>
  /** Takes away everything it holds: jobs that wait, jobs that run, what keeps them from running twice. */
  lose(nodes: readonly TestNode[]): Promise<void>
}

const given = process.env.TEST_REDIS_URL
/** A database of its own among those of the server: other tests run beside this one. */
const redisUrl = given === undefined || given === '' ? undefined : new URL('/9', given).href

export const QUEUE_STORES: readonly QueueStore[] = [
  {
    name: 'Postgres',
    isHere: true,
    environment: {},
    async lose(nodes) {
      const text = 'truncate bullmq.job, bullmq.dedup, bullmq.dedup_next, bullmq.meta, bullmq.event cascade'
      for (const node of nodes) await node.databases.database.query({ name: '', text })
    }
  },
  {
    name: 'Redis',
    isHere: redisUrl !== undefined,
    environment: redisUrl === undefined ? {} : { REDIS_URL: redisUrl },
    async lose() {
      const redis = new Redis(redisUrl!)
      await redis.flushdb()
      redis.disconnect()
    }
  }
]
