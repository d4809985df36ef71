// Enforces "Which way imports point" of docs/architecture.md over src/ and federation/ (part of `npm run lint`).
// Usage: node scripts/check-imports.js [root]
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(process.argv[2] ?? dirname(dirname(fileURLToPath(import.meta.url))))

const IMPORT =
  /\b(?:import|export)\s[^;'"`]*?\bfrom\s*'([^']+)'|\bimport\s*\(\s*'([^']+)'|^import\s*'([^']+)'/gm

/** What federation/ may import of src/. */
const OPEN_TO_FEDERATION =
  /^src\/(?:acknowledgement|context|errors|logger|metrics|json|json-in-turns|live-send|live\/arrivals|message|message-boxes|names|start-error|endpoint|version|config|operator-lists|permissions\/(?:rule|fees-elsewhere)|curve\/.*|keys\/.*|auth\/.*|transactions\/.*|payments\/.*|storage\/(?:arrays|database|messages|sent-messages|batches|collisions|quotas|payments|replays|operator-lists|permissions))\.ts$/

/** Where a library may be imported. */
const OWNERS = {
  pg: /^src\/storage\//,
  'node-pg-migrate': /^src\/storage\/migrate\.ts$/,
  bullmq: /^federation\/queue\.ts$/,
  ioredis: /^federation\/queue\.ts$|^src\/(?:rates\/redis-store|live\/redis-notifications)\.ts$/,
  'rate-limiter-flexible': /^src\/(?:rates\/redis-store|storage\/rate-limits)\.ts$/,
  'socket.io': /^src\/live\/sockets\.ts$/,
  undici: /^federation\/channel\//,
  re2js: /^federation\/phip\/box-expression\.ts$/,
  '@bsv/overlay': /^federation\/overlay\//,
  '@bsv/sdk': /^(?:federation\/overlay\/|src\/(?:cli\/|transactions\/|payments\/node-wallet\.ts$))/,
  secp256k1: /^src\/curve\//,
  'tiny-secp256k1': /^src\/curve\//,
  'prom-client': /^src\/metrics\.ts$/,
  pino: /^src\/logger\.ts$/
}

/** Folders of functions whose answer depends on their arguments alone. */
const PURE = /^federation\/(?:phip|origin)\//
const IMPURE_IMPORT =
  /^src\/(?:context|logger|metrics|storage\/.*)\.ts$|^federation\/(?:api|channel|delivery|overlay|storage)\/|^node:(?:fs|net|http|https|dns|timers|process|child_process)/
const IMPURE_CODE = /\bDate\.now\(|\bfetch\(|\bset(?:Timeout|Interval)\(|\bperformance\.now\(/

/** What stands above both halves: the composition root, and the commands of the program. */
const ABOVE = /^src\/(?:node\.ts$|cli\/)/

const SEPARATE = /^federation\/(api|delivery|overlay|push|quotes|sync)\//
/** Keeping hosts in step stands on delivering. */
const STANDS_ON = new Set(['sync delivery'])
const ENVIRONMENT = /^src\/(?:config[^/]*|main)\.ts$/

const problems = ['src', 'federation'].flatMap(folder => filesBelow(join(root, folder))).flatMap(check)
for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exitCode = 1

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name.endsWith('.ts'))
    .map(entry => join(entry.parentPath, entry.name))
}

function check(path) {
  const file = relative(root, path)
  const text = readFileSync(path, 'utf8')
  const found = [...text.matchAll(IMPORT)].flatMap(match => [
    ...checkImport(file, target(file, match[1] ?? match[2] ?? match[3]))
  ])
  if (PURE.test(file) && IMPURE_CODE.test(text))
    found.push('is pure and must not use a clock, a timer or the network')
  if (/\bprocess\.env\b/.test(text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')) && !ENVIRONMENT.test(file)) {
    found.push('reads process.env, which src/config.ts does for all')
  }
  return found.map(problem => `${file} ${problem}`)
}

/** The file an import means, from the root, or the package. */
function target(file, specifier) {
  return specifier.startsWith('.')
    ? posix.join(posix.dirname(file), specifier).replace(/\.js$/, '.ts')
    : specifier
}

function* checkImport(file, imported) {
  if (file.startsWith('src/') && imported.startsWith('federation/') && !ABOVE.test(file)) {
    yield `imports ${imported}; in src/ only node.ts and cli/ may`
  }
  if (file.startsWith('federation/') && imported.startsWith('src/') && !OPEN_TO_FEDERATION.test(imported)) {
    yield `imports ${imported}, which is not open to federation/`
  }
  if (PURE.test(file) && IMPURE_IMPORT.test(imported)) yield `is pure and must not import ${imported}`
  const own = SEPARATE.exec(file)?.[1]
  const other = SEPARATE.exec(imported)?.[1]
  if (own !== undefined && other !== undefined && own !== other && !STANDS_ON.has(`${own} ${other}`)) {
    yield `imports ${imported}; federation/${own} and federation/${other} do not know each other`
  }
  const owner = OWNERS[Object.keys(OWNERS).find(name => imported === name || imported.startsWith(`${name}/`))]
  if (owner !== undefined && !owner.test(file)) yield `imports ${imported}, which belongs to ${owner.source}`
}
