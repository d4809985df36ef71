import { createTestDatabase, type TestDatabase } from './database.js'
import { FaultHost } from './fault-host.js'
import { type FaultUsers, prepareUsers } from './fault-users.js'
import { freePort, until } from './nodes.js'
import { describeVerdict, Oracle, type Verdict } from './oracle.js'
import { SeededRandom } from './random.js'
import { readBoxes, readReports } from './reading.js'
import { sendAll } from './sending.js'
import { TcpProxy } from './tcp-proxy.js'
import { boxesOf, planTraffic } from './traffic.js'

/** What happens when so many attempts to send have ended, however they did. */
export interface Fault {
  readonly at: number
  readonly description: string
  act(mesh: FaultMesh): Promise<unknown>
}

export interface RunOptions {
  /** Unique on one mesh. */
  readonly run: string
  readonly seed: number
  readonly requests: number
  readonly faults: readonly Fault[]
  /** After the last request and the last fault, before anything is judged. */
  readonly afterwards?: (mesh: FaultMesh) => Promise<unknown>
  /** How long what was accepted may be under way when all faults are over, ms. */
  readonly patience?: number
}

export interface FaultMeshOptions {
  /** Makes users and nodes of this mesh its own. */
  readonly name: string
  readonly environment?: Readonly<Record<string, string>>
  /** Where hosts keep their data, by their position; where it is left open, in a test database. */
  readonly databases?: readonly (HostDatabase | undefined)[]
  /** Folder with the build that the hosts run; default: this repository. */
  readonly root?: string
}

export interface HostDatabase {
  readonly connectionString: string
  /** Past what stands between the node and Postgres, if anything does. */
  readonly directConnectionString?: string
}

export const HOST_NAMES = ['one', 'two', 'three'] as const
/** Longer than the claim of a worker that was killed, and than it takes to find out that its job stands still. */
const SETTLED_WITHIN = 30_000

/** Three hosts as processes, each behind a proxy, and users at home there. The first one has a worker of its own. */
export class FaultMesh {
  readonly hosts: readonly FaultHost[]
  readonly #databases: readonly TestDatabase[]
  #users: FaultUsers | undefined

  private constructor(hosts: readonly FaultHost[], databases: readonly TestDatabase[]) {
    this.hosts = hosts
    this.#databases = databases
  }

  static async start(options: FaultMeshOptions): Promise<FaultMesh> {
    const proxies: TcpProxy[] = []
    for (const _ of HOST_NAMES) proxies.push(await TcpProxy.start(await freePort()))
    const databases: TestDatabase[] = []
    const hosts: FaultHost[] = []
    for (const [i, name] of HOST_NAMES.entries()) {
      const given = options.databases?.[i]
      const made =
        given === undefined ? await createTestDatabase({ empty: options.root !== undefined }) : undefined
      if (made !== undefined) databases.push(made)
      hosts.push(
        new FaultHost({
          name: `${options.name} ${name}`,
          proxy: proxies[i]!,
          split: i === 0,
          environment: {
            PEERS: proxies
              .filter((_, other) => other !== i)
              .map(({ port }) => `http://localhost:${port}`)
              .join(),
            ...options.environment
          },
          root: options.root,
          connectionString: given?.connectionString ?? made!.connectionString,
          directConnectionString: given?.directConnectionString
        })
      )
    }
    const mesh = new FaultMesh(hosts, databases)
    try {
      await Promise.all(hosts.map(host => host.start()))
      mesh.#users = await prepareUsers(options.name, hosts)
    } catch (error) {
      await mesh.remove()
      throw error
    }
    return mesh
  }

  /** By its name in HOST_NAMES. */
  host(name: (typeof HOST_NAMES)[number]): FaultHost {
    return this.hosts[HOST_NAMES.indexOf(name)]!
  }

  /**
   * Sends, lets the faults happen, waits until nothing is under way any more, and judges.
   *
   * @throws with the seed and what is wrong if anything is
   */
  async run(options: RunOptions): Promise<Verdict> {
    const verdict = await this.judge(options)
    const deaths = this.hosts.flatMap(({ processes }) => processes).flatMap(({ death }) => death ?? [])
    if (verdict.violations.length === 0 && deaths.length === 0) return verdict
    throw new Error(
      [`FAULT_SEED=${options.seed}, run ${options.run}`, ...deaths, describeVerdict(verdict)].join('\n')
    )
  }

  /** As `run`, and leaves the judgement to the caller. */
  async judge(options: RunOptions): Promise<Verdict> {
    const { senders, recipients } = this.#users!
    const oracle = new Oracle(
      new Map(recipients.map(({ user, homes }) => [user.identityKey, homes.map(({ name }) => name)]))
    )
    const traffic = planTraffic(new SeededRandom(options.seed), {
      run: options.run,
      senders: senders.map(({ user, host }) => ({ identityKey: user.identityKey, through: host.name })),
      recipients: recipients.map(({ user }) => user),
      requests: options.requests
    })
    const faults = options.faults.toSorted((a, b) => a.at - b.at)
    const happening: Promise<unknown>[] = []
    let ended = 0
    const begin = (fault: Fault) => {
      const act = fault.act(this)
      // Awaited further down, but it may fail before.
      act.catch(() => {})
      happening.push(act)
    }
    const happen = () => {
      while (faults[0] !== undefined && faults[0].at <= ended) begin(faults.shift()!)
    }
    happen()
    await sendAll(senders, traffic, oracle, () => {
      ended++
      happen()
    })
    for (const fault of faults) begin(fault)
    await Promise.all(happening)
    await options.afterwards?.(this)
    const left = await this.#settle(options.patience ?? SETTLED_WITHIN)
    const verdict = oracle.judge(
      await readBoxes(this.hosts, recipients, boxesOf(options.run)),
      await readReports(senders, options.run)
    )
    return left === undefined ? verdict : { ...verdict, left }
  }

  async remove(): Promise<void> {
    await Promise.all(this.hosts.map(host => host.remove()))
    await Promise.all(this.#databases.map(database => database.drop()))
  }

  /** Waits until no host has anything left to hand on. Answers what is left after the time limit, ms. */
  async #settle(limit: number): Promise<string | undefined> {
    const text = `select (select count(*) from deliveries where state = 'pending')
      + (select count(*) from catch_ups) as n`
    let left = Number.NaN
    const pending = async () => {
      // A Postgres that was killed may still be starting.
      const counts = this.hosts.map(host => host.count(text).catch(() => Number.NaN))
      left = (await Promise.all(counts)).reduce((sum, n) => sum + n, 0)
      return left
    }
    try {
      await until(pending, n => n === 0, limit)
      return undefined
    } catch {
      return `${left} deliveries and catch-ups are still under way after ${limit} ms`
    }
  }
}
