// Brings a clone into a state that runs: installs packages, compiles. Uses nothing but Node, as nothing else is there.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const STAMP = join(ROOT, 'dist', '.built')
const PROJECT = 'tsconfig.build.json'
const SOURCES = ['src', 'federation', 'examples', 'tsconfig.json', PROJECT, 'package-lock.json']

/** As `setUp`, for programs that can do nothing else when it fails. */
export function setUpOrExit() {
  try {
    setUp()
  } catch (error) {
    console.error(error.message)
    process.exit(1)
  }
}

/** Does what is missing, one line on standard error per step; throws an Error with a sentence if that fails. */
export function setUp() {
  refuseOldNode()
  // A packed or copied program without sources has nothing to install or compile.
  if (!existsSync(join(ROOT, 'src')) || !existsSync(join(ROOT, 'package-lock.json'))) return
  if (!isInstalled()) step('Installing packages (npm ci)', [...npm(), 'ci', '--include=dev'])
  if (!isBuilt()) {
    // What is edited while the compiler runs is newer than this and compiled next time.
    const started = new Date()
    const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
    step('Compiling (tsc)', [process.execPath, compiler, '--project', PROJECT])
    if (existsSync(join(ROOT, 'examples'))) {
      step('Bundling the examples (esbuild)', [process.execPath, join(ROOT, 'scripts', 'bundle-examples.js')])
    }
    writeFileSync(STAMP, '')
    utimesSync(STAMP, started, started)
  }
}

function refuseOldNode() {
  const wanted = readJson('package.json').engines.node.replace(/[^\d.]/g, '')
  if (compareVersions(process.versions.node, wanted) >= 0) return
  throw new Error(
    `Node ${wanted} or newer is needed, and this is ${process.versions.node}; see https://nodejs.org/en/download`
  )
}

function compareVersions(a, b) {
  const [left, right] = [a, b].map(version => version.split('.').map(Number))
  const index = left.findIndex((part, i) => part !== (right[i] ?? 0))
  return index === -1 ? 0 : left[index] - (right[index] ?? 0)
}

/** True if what npm recorded in node_modules is what the lock file asks for. */
function isInstalled() {
  if (!existsSync(join(ROOT, 'node_modules', '.package-lock.json'))) return false
  const installed = readJson('node_modules/.package-lock.json').packages
  return Object.entries(readJson('package-lock.json').packages).every(
    ([path, wanted]) => path === '' || wanted.optional || installed[path]?.version === wanted.version
  )
}

function isBuilt() {
  const built = statSync(STAMP, { throwIfNoEntry: false })?.mtimeMs ?? 0
  return SOURCES.every(path => newest(join(ROOT, path)) < built)
}

/** Last change below a path, ms. Folders count too, since removing a file changes only its folder. */
function newest(path) {
  const status = statSync(path, { throwIfNoEntry: false })
  if (status === undefined) return 0
  if (!status.isDirectory()) return status.mtimeMs
  return Math.max(status.mtimeMs, ...readdirSync(path).map(name => newest(join(path, name))))
}

/** The npm that runs this, or the one on PATH. */
function npm() {
  const script = process.env.npm_execpath
  return script?.endsWith('.js') ? [process.execPath, script] : ['npm']
}

function step(title, [command, ...args]) {
  console.error(`${title} …`)
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: ['ignore', 2, 2] })
  if (status !== 0)
    throw new Error(`${title} failed${error === undefined ? '' : ` (${error.message})`}; see above.`)
}

function readJson(path) {
  return JSON.parse(readFileSync(join(ROOT, path), 'utf8'))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) setUpOrExit()
