import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { StartError } from '../start-error.js'
import { type Cluster, isRunning, POSTGRES_ENVIRONMENT } from './embedded-postgres-cluster.js'

/** Settings given at each start, so that an upgrade of this program changes them. */
const SETTINGS: readonly string[] = [
  'listen_addresses=',
  'unix_socket_permissions=0700',
  'shared_buffers=128MB',
  'jit=off',
  // What is read lies in the system's cache as a rule: handing it to another process costs more than reading it.
  'io_method=sync',
  // Large messages fill the default of 4 MB before their commit.
  'wal_buffers=16MB',
  // After each checkpoint every page is logged whole when it is first changed, and names are scattered over all pages: the
  // fewer checkpoints the better. Recovery after a crash replays at most max_wal_size.
  'checkpoint_timeout=15min',
  'max_wal_size=2GB',
  'min_wal_size=256MB',
  // Starts and stops are logged, but neither statements nor what clients can provoke.
  'log_min_messages=log',
  'log_min_error_statement=panic',
  'log_checkpoints=off'
]

/** For tests: what a power failure would lose is not worth waiting for. */
const NOT_DURABLE: readonly string[] = [
  'fsync=off',
  'synchronous_commit=off',
  'full_page_writes=off',
  'wal_level=minimal',
  'max_wal_senders=0',
  'max_connections=400'
]

const LEAST_CONNECTIONS = 100
const POLL_MILLISECONDS = 10
/** Recovery after a crash replays at most max_wal_size (2 GB), which takes seconds, on slow disks minutes. */
const READY_MILLISECONDS = 300_000
const FAST_STOP_MILLISECONDS = 8_000
const LOG_BYTES = 5 * 1024 * 1024

/** Line numbers in postmaster.pid, from 0. */
const PID_LINE = 0
const STATUS_LINE = 7

/** What differs from start to start. */
export interface LaunchSettings {
  /** False for tests. */
  readonly durable: boolean
  /** Connections that must be possible at once. */
  readonly connections: number
}

/**
 * Starts Postgres in a session of its own, so that ctrl-c in a terminal reaches the node alone, which stops
 * Postgres when it needs it no more. It does not wait until Postgres accepts connections.
 */
export function launch(cluster: Cluster, { durable, connections }: LaunchSettings): ChildProcess {
  const log = openLog(cluster.log)
  const settings = [
    ...SETTINGS,
    `max_connections=${Math.max(connections, LEAST_CONNECTIONS)}`,
    `unix_socket_directories=${cluster.socketFolder}`,
    ...(durable ? [] : NOT_DURABLE)
  ]
  const arguments_ = ['-D', cluster.data, ...settings.flatMap(setting => ['-c', setting])]
  try {
    const child = spawn(cluster.binaries.postgres, arguments_, {
      ...cluster.user,
      cwd: cluster.home,
      env: POSTGRES_ENVIRONMENT,
      detached: true,
      stdio: ['ignore', log, log]
    })
    // A program that cannot be run at all is noticed by untilReady.
    child.on('error', () => {})
    return child
  } finally {
    closeSync(log)
  }
}

/**
 * Waits until the Postgres just launched accepts connections.
 *
 * @throws StartError with the end of Postgres' log if it ends instead
 */
export async function untilReady(cluster: Cluster, child: ChildProcess): Promise<void> {
  const logged = statSync(cluster.log).size
  let failure: unknown
  child.once('error', error => {
    failure = error
  })
  for (let waited = 0; waited < READY_MILLISECONDS; waited += POLL_MILLISECONDS) {
    const state = readState(cluster)
    if (state?.pid === child.pid && state?.ready) return
    if (failure !== undefined || child.exitCode !== null || child.signalCode !== null) break
    await delay(POLL_MILLISECONDS)
  }
  const reason = failure === undefined ? endOfLog(cluster, logged) : String(failure)
  throw new StartError(`The bundled Postgres does not start in ${cluster.home}: ${reason}`, {
    cause: failure
  })
}

/** What Postgres wrote since its log had `from` bytes, at most the last kilobyte. */
export function endOfLog(cluster: Cluster, from = 0): string {
  const text = readFileSync(cluster.log).subarray(from).subarray(-1_000).toString().trim()
  return text === '' ? `it said nothing (${cluster.log})` : text.replaceAll(/\s*\n\s*/g, ' | ')
}

/**
 * The Postgres that runs on the cluster, whoever started it.
 *
 * @returns its process id, and whether it accepts connections; undefined if none runs
 */
export function readState(cluster: Cluster): { pid: number; ready: boolean } | undefined {
  const lines = readPidFile(cluster)
  const pid = Number(lines[PID_LINE])
  if (!Number.isSafeInteger(pid) || pid < 2 || !runsCluster(pid, cluster)) return undefined
  return { pid, ready: lines[STATUS_LINE]?.trim() === 'ready' }
}

/**
 * Removes the pid file of a Postgres that is no more if its number belongs to another process now, as happens when a
 * container or the machine was restarted: Postgres would refuse to start. All other cases it judges better itself.
 */
export function removeStalePidFile(cluster: Cluster): void {
  const pid = Number(readPidFile(cluster)[PID_LINE])
  if (pid > 0 && isRunning(pid) && !runsCluster(pid, cluster)) rmSync(pidFile(cluster), { force: true })
}

/** Ends a Postgres: open transactions are rolled back, everything is written. Resolves when it is gone. */
export async function stopPostgres(cluster: Cluster, pid: number): Promise<void> {
  // SIGINT is Postgres' "fast" shutdown, SIGQUIT its "immediate" one, after which it recovers like after a crash.
  const steps: readonly [NodeJS.Signals, number][] = [
    ['SIGINT', FAST_STOP_MILLISECONDS],
    ['SIGQUIT', 1_000],
    ['SIGKILL', 1_000]
  ]
  for (const [signal, patience] of steps) {
    if (!runsCluster(pid, cluster)) return
    process.kill(pid, signal)
    for (let waited = 0; waited < patience; waited += POLL_MILLISECONDS) {
      if (!runsCluster(pid, cluster)) return
      await delay(POLL_MILLISECONDS)
    }
  }
}

/** True if the process is a Postgres started on this data folder; a number alone may have changed hands. */
function runsCluster(pid: number, cluster: Cluster): boolean {
  if (process.platform !== 'linux') return isRunning(pid)
  try {
    // Readable for everybody, unlike links below /proc; empty for a process that ended and was not yet collected.
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(cluster.data)
  } catch {
    return false
  }
}

function openLog(path: string): number {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LOG_BYTES) truncateSync(path)
  return openSync(path, 'a', 0o600)
}

function pidFile(cluster: Cluster): string {
  return join(cluster.data, 'postmaster.pid')
}

function readPidFile(cluster: Cluster): string[] {
  try {
    return readFileSync(pidFile(cluster), 'utf8').split('\n')
  } catch {
    return []
  }
}
