import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLogger } from '../../src/logger.js'
import { createDatabase, type Database } from '../../src/storage/database.js'
import { TestUser } from './client.js'
import { FaultProcess } from './fault-process.js'
import type { NodeAddress } from './nodes.js'
import type { TcpProxy } from './tcp-proxy.js'

export interface FaultHostOptions {
  /** Two with one name have one identity key. */
  readonly name: string
  /** Already listening: other hosts must know where before any of them starts. */
  readonly proxy: TcpProxy
  /** What its node uses. */
  readonly connectionString: string
  /** Past whatever stands between the node and Postgres; default: the same. */
  readonly directConnectionString: string | undefined
  /** Requests and deliveries in processes of their own. */
  readonly split: boolean
  readonly environment: Readonly<Record<string, string>>
  /** Folder with the build it runs. */
  readonly root: string | undefined
}

/** A host made of processes that can be killed, behind a proxy that misbehaves as it is told; its database stays. */
export class FaultHost implements NodeAddress {
  readonly name: string
  readonly identityKey: string
  /** Between it and everybody else, other nodes and clients. */
  readonly proxy: TcpProxy
  /** For looks from outside the nodes, past whatever stands between them and Postgres. */
  readonly database: Database
  /** Answers requests; delivers too unless there is a worker. */
  readonly api: FaultProcess
  readonly worker: FaultProcess | undefined
  readonly #another: () => FaultProcess

  constructor(options: FaultHostOptions) {
    const { name, proxy, connectionString, split, environment, root } = options
    const { privateKey, identityKey } = new TestUser(`node ${name}`)
    this.name = name
    this.identityKey = identityKey
    this.proxy = proxy
    this.database = createDatabase({
      connectionString: options.directConnectionString ?? connectionString,
      logger: createLogger('silent'),
      maxConnections: 2
    })
    const settings = {
      PORT: String(proxy.upstream),
      ADMIN_PORT: '0',
      PUBLIC_DOMAIN: `localhost:${proxy.port}`,
      DATA_DIR: join(tmpdir(), `peerserv-node-${randomUUID()}`),
      DATABASE_URL: connectionString,
      DATABASE_CONNECTIONS: '10',
      SERVER_PRIVATE_KEY: privateKey.toString('hex'),
      DRAIN_SECONDS: '0',
      LOG_LEVEL: 'fatal',
      TEST_CLAIM_MILLISECONDS: '3000',
      TEST_CALL_MILLISECONDS: '1500',
      ...environment
    }
    const process = (role: string) =>
      new FaultProcess({
        name: `${name} (${role})`,
        environment: { ...settings, ROLE: role },
        ...(root !== undefined && { root })
      })
    this.api = process(split ? 'api' : 'all')
    this.worker = split ? process('worker') : undefined
    this.#another = () => process('worker')
  }

  get domain(): string {
    return `localhost:${this.proxy.port}`
  }

  get url(): string {
    return `http://${this.domain}`
  }

  get processes(): FaultProcess[] {
    return this.worker === undefined ? [this.api] : [this.api, this.worker]
  }

  /** One more worker, not started. Who makes it ends it. */
  anotherWorker(): FaultProcess {
    return this.#another()
  }

  /** @param clockAhead how far the clocks of its processes are ahead of the true time, ms */
  async start(clockAhead = 0): Promise<void> {
    // Together they would contend for the migrations of an empty database.
    for (const process of this.processes) await process.start(clockAhead)
  }

  async kill(): Promise<void> {
    await Promise.all(this.processes.map(process => process.kill()))
  }

  /** @param text a query for one column `n` */
  async count(text: string, ...values: readonly unknown[]): Promise<number> {
    const [row] = await this.database.query<{ n: number }>({ name: '', text }, values)
    return row!.n
  }

  async remove(): Promise<void> {
    await this.kill()
    await this.proxy.stop()
    await this.database.close()
  }
}
