import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { createPostgresBackend, Queue, Worker, withBackend } from 'bullmq'
import { Redis, type RedisOptions } from 'ioredis'
import type { Logger } from '../src/logger.js'
import { StartError } from '../src/start-error.js'

/**
 * What the queue can say: "look into Postgres for this". A job holds a name and never a fact; it may be lost, repeated or
 * late without harm.
 */
export type JobName = 'drain' | 'statements' | 'reconcile' | 'catch-up' | 'lookup' | 'push'

/**
 * Works on one job; `subject` is a domain (drain, statements), a host's key (reconcile), the host of a push service (push) or a
 * recipient (the others).
 */
export type JobHandlers = Readonly<Record<JobName, (subject: string) => Promise<void>>>

export interface QueueOptions {
  readonly databaseUrl: string
  /** Undefined: the queue is kept in Postgres. */
  readonly redisUrl: string | undefined
  /** Every name in Redis begins with it. */
  readonly identityKey: string
  readonly logger: Logger
}

export interface JobQueue {
  /**
   * Adds a job, unless the same one waits already; one that runs runs once more afterwards. Never throws: what the queue
   * loses is found again by the sweep.
   */
  add(name: JobName, subject: string): void
  /** Starts working; at most `concurrency` jobs at once. */
  work(handlers: JobHandlers, concurrency: number): Promise<void>
  /** Rejects while the queue cannot be reached. */
  check(): Promise<void>
  /** Finishes the jobs that run, then closes. */
  close(): Promise<void>
}

interface JobData {
  readonly subject: string
}

const QUEUE = 'federation'
/** All ms. */
const WORKER_TIMES = {
  /**
   * While a job runs, the same one does not start again; so one whose worker was killed stands in the way of its subject
   * until it is found out: after this lock and two checks (they mark, then take). One found out by mistake, of a worker
   * that was busy for so long, only runs twice.
   */
  lockDuration: 4_000,
  stalledInterval: 2_000,
  /** After the store could not be reached. A worker that waits does nothing else, and does not stop either. */
  runRetryDelay: 500
}
/** What is asked for again within so many ms is one job more. */
const GATHER_MILLISECONDS = 10
const KEEP_NOTHING = { removeOnComplete: { count: 0 }, removeOnFail: { count: 0 } }

const onPostgres = withBackend(createPostgresBackend)

/** Opens the queue, on Redis if there is one, otherwise in Postgres (schema `bullmq`, migrated here). */
export async function createQueue(options: QueueOptions): Promise<JobQueue> {
  const queue =
    options.redisUrl === undefined ? postgresQueue(options) : await redisQueue(options, options.redisUrl)
  await queue.ready()
  return queue
}

function postgresQueue({ databaseUrl, logger }: QueueOptions): BullQueue {
  const connection = {
    ...withoutOptions(databaseUrl),
    migrate: true,
    application_name: 'peerserv queue',
    max: 4
  }
  return new BullQueue(
    new onPostgres.Queue<JobData, void, JobName>(QUEUE, { connection }),
    (process, concurrency) =>
      new onPostgres.Worker<JobData, void, JobName>(QUEUE, process, {
        connection,
        concurrency,
        ...WORKER_TIMES,
        ...KEEP_NOTHING
      }),
    logger,
    async () => undefined
  )
}

/** Options in the address would take the place of the search path that BullMQ sets; beside it they are joined with that. */
function withoutOptions(databaseUrl: string): { connectionString: string; options?: string } {
  if (!databaseUrl.includes('options=')) return { connectionString: databaseUrl }
  const url = new URL(databaseUrl)
  const options = url.searchParams.get('options')
  url.searchParams.delete('options')
  return options === null ? { connectionString: databaseUrl } : { connectionString: url.href, options }
}

async function redisQueue({ identityKey, logger }: QueueOptions, redisUrl: string): Promise<BullQueue> {
  const connections: Redis[] = []
  const open = (options: Pick<RedisOptions, 'maxRetriesPerRequest' | 'enableOfflineQueue'>): Redis => {
    const connection = new Redis(redisUrl, { ...options, lazyConnect: true })
    connection.on('error', error => logger.warn({ err: error }, 'Redis cannot be reached'))
    connections.push(connection)
    return connection
  }
  const prefix = identityKey
  // Who adds a job must not wait for Redis: the sweep finds what could not be added.
  const producer = open({ maxRetriesPerRequest: 1, enableOfflineQueue: false })
  await connected(producer)
  return new BullQueue(
    new Queue<JobData, void, JobName>(QUEUE, { connection: producer, prefix }),
    (process, concurrency) =>
      new Worker<JobData, void, JobName>(QUEUE, process, {
        // A worker waits, however long it takes.
        connection: open({ maxRetriesPerRequest: null }),
        prefix,
        concurrency,
        ...WORKER_TIMES,
        ...KEEP_NOTHING
      }),
    logger,
    async () => {
      for (const connection of connections) connection.disconnect()
    }
  )
}

/** The first connection is made now or never: a wrong REDIS_URL is told at start. */
async function connected(connection: Redis): Promise<void> {
  try {
    await connection.connect()
  } catch (cause) {
    connection.disconnect()
    throw new StartError('Redis cannot be reached; check REDIS_URL, and whether it runs.', { cause })
  }
}

type Process = (job: { readonly name: JobName; readonly data: JobData }) => Promise<void>

/** The part of BullMQ's classes that is used, the same for both stores. */
interface Closable {
  on(event: 'error', listener: (error: Error) => void): unknown
  waitUntilReady(): Promise<unknown>
  close(): Promise<void>
}

interface AnyQueue extends Closable {
  add(name: JobName, data: JobData, options: object): Promise<unknown>
  getWaitingCount(): Promise<number>
}

class BullQueue implements JobQueue {
  readonly #queue: AnyQueue
  readonly #createWorker: (process: Process, concurrency: number) => Closable
  readonly #logger: Logger
  readonly #disconnect: () => Promise<void>
  /** Jobs on their way into the queue, and whether the same one was asked for meanwhile: a burst is one or two. */
  readonly #adding = new Map<string, boolean>()
  #worker: Closable | undefined

  constructor(
    queue: AnyQueue,
    createWorker: (process: Process, concurrency: number) => Closable,
    logger: Logger,
    disconnect: () => Promise<void>
  ) {
    this.#queue = queue
    this.#createWorker = createWorker
    this.#logger = logger
    this.#disconnect = disconnect
    queue.on('error', error => this.#unreachable(error))
  }

  async ready(): Promise<void> {
    await this.#queue.waitUntilReady()
  }

  add(name: JobName, subject: string): void {
    const id = `${name}-${digest(subject)}`
    const isUnderWay = this.#adding.has(id)
    // What was added before this moment may have been worked on before it too: once more, then.
    this.#adding.set(id, isUnderWay)
    if (!isUnderWay) void this.#add(id, name, subject)
  }

  async #add(id: string, name: JobName, subject: string): Promise<void> {
    const options = { ...KEEP_NOTHING, deduplication: { id, keepLastIfActive: true } }
    do {
      this.#adding.set(id, false)
      await this.#queue.add(name, { subject }, options).catch(error => this.#unreachable(error))
      await delay(GATHER_MILLISECONDS)
    } while (this.#adding.get(id) === true)
    this.#adding.delete(id)
  }

  async work(handlers: JobHandlers, concurrency: number): Promise<void> {
    const process: Process = async job => {
      try {
        await handlers[job.name](job.data.subject)
      } catch (error) {
        // Postgres still knows; the sweep comes back to it.
        this.#logger.error({ err: error, job: job.name, subject: job.data.subject }, 'a job failed')
      }
    }
    this.#worker = this.#createWorker(process, concurrency)
    this.#worker.on('error', error => this.#unreachable(error))
    await this.#worker.waitUntilReady()
  }

  async check(): Promise<void> {
    await this.#queue.getWaitingCount()
  }

  async close(): Promise<void> {
    await this.#worker?.close()
    await this.#queue.close()
    await this.#disconnect()
  }

  #unreachable(error: Error): void {
    this.#logger.warn({ err: error }, 'the queue cannot be reached')
  }
}

/** An id for deduplication, of characters that every store takes. */
function digest(subject: string): string {
  return createHash('sha256').update(subject).digest('hex').slice(0, 32)
}
