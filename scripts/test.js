// `npm test`: sets up, starts a Postgres (and a Redis, if this machine has one) for the run, runs mocha, and ends with
// the line "N passed, M failed". Files or options of mocha may follow: npm test -- test/unit/config.test.ts
//
// Without files mocha runs twice: most files beside each other, then, one after the other, those that start many processes
// and measure how soon something happens.
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ROOT, setUp } from './set-up.js'

const folder = join(tmpdir(), `peerserv-test-run-${randomUUID()}`)
const ALONE = 'test/faults/*.test.ts'
const BESIDE = 'test/!(faults)/**/*.test.ts'
/** Of each run of mocha. */
const countsFiles = []
/** What to stop at the end, last started first. */
const running = []
let interrupted = false

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  // What runs is told by the terminal or below; this process stays to clean up.
  process.on(signal, () => {
    interrupted = true
    mocha?.kill('SIGTERM')
  })
}

let mocha
let exitCode = 1
try {
  setUp()
  mkdirSync(folder, { recursive: true, mode: 0o711 })
  await startPostgres()
  await startRedis()
  const args = process.argv.slice(2)
  const isNamed = args.some(argument => argument.includes('*') || existsSync(join(ROOT, argument)))
  const runs = isNamed
    ? [args]
    : [
        [...args, BESIDE],
        // What a test of faults leaves open (a frozen process' pipe) must not keep the run from ending.
        [...args, '--no-parallel', '--exit', ALONE]
      ]
  exitCode = 0
  for (const run of runs) exitCode = Math.max(exitCode, interrupted ? 1 : await runMocha(run))
} catch (error) {
  console.error(error.message)
} finally {
  for (const stop of running.reverse()) await stop().catch(error => console.error(error))
  const { passes, failures, pending } = readCounts()
  // A run that broke off, or a file that could not be loaded, is a failure that mocha does not count.
  const failed = exitCode === 0 ? failures : Math.max(failures, 1)
  rmSync(folder, { recursive: true, force: true })
  console.log(`${passes} passed, ${failed} failed${pending > 0 ? `, ${pending} skipped` : ''}`)
  process.exitCode = failed === 0 ? 0 : 1
}

async function startPostgres() {
  if (process.env.TEST_DATABASE_URL) return
  const { startEmbeddedPostgres } = await import('../dist/src/storage/embedded-postgres.js')
  const { createLogger } = await import('../dist/src/logger.js')
  const logger = createLogger('warn')
  const postgres = await startEmbeddedPostgres({ dataDirectory: folder, logger, durable: false })
  process.env.TEST_DATABASE_URL = postgres.connectionString
  running.push(() => postgres.stop())
}

/** Without one, tests of the queue on Redis report themselves as skipped. */
async function startRedis() {
  if (process.env.TEST_REDIS_URL) return
  const program = findOnPath('redis-server') ?? findOnPath('valkey-server')
  if (program === undefined) return console.error('No redis-server on PATH: tests on Redis are skipped.')
  const port = await freePort()
  const args = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder]
  // A session of its own: ctrl-c must not end it before the tests that use it.
  const server = spawn(program, args.map(String), { stdio: ['ignore', 'ignore', 'inherit'], detached: true })
  const ended = once(server, 'exit')
  running.push(async () => {
    server.kill('SIGTERM')
    await ended
  })
  await Promise.race([untilListening(port), ended.then(() => Promise.reject(new Error(`${program} ended`)))])
  process.env.TEST_REDIS_URL = `redis://127.0.0.1:${port}`
}

async function runMocha(args) {
  const countsFile = join(folder, `counts ${countsFiles.length}.json`)
  countsFiles.push(countsFile)
  const program = join(ROOT, 'node_modules', 'mocha', 'bin', 'mocha.js')
  const reporter = join(ROOT, 'scripts', 'test-reporter.cjs')
  mocha = spawn(process.execPath, [program, '--reporter', reporter, ...args], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, TEST_COUNTS: countsFile }
  })
  const [code] = await once(mocha, 'exit')
  return code ?? 1
}

/** Of all runs together. */
function readCounts() {
  const sum = { passes: 0, failures: 0, pending: 0 }
  for (const file of countsFiles.filter(existsSync)) {
    const counts = JSON.parse(readFileSync(file, 'utf8'))
    for (const kind of Object.keys(sum)) sum[kind] += counts[kind]
  }
  return sum
}

function findOnPath(program) {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map(directory => join(directory, program))
    .find(existsSync)
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

async function untilListening(port) {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const answered = await new Promise(resolve => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    })
    socket.destroy()
    if (answered) return
    await delay(20)
  }
}
