// Asks the registry about the packages that a node runs with: known weaknesses, and whether each is the one that the registry
// signed. For operators; needs the network. Usage: npm run audit
import { spawnSync } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

const cwd = dirname(dirname(fileURLToPath(import.meta.url)))
/** How npm says that a question was not answered, unlike an answer that is bad. */
const UNANSWERED =
  /audit endpoint returned an error|code (?:ENOTFOUND|ECONN\w+|ETIMEDOUT|EAI_AGAIN|ENOAUDIT|E[45]\d\d)|no dependencies to audit that were installed from a supported registry/i

/** 0: all is well; 1: it is not; 2: nobody answered. */
function ask(what, ...args) {
  const { status, stdout, stderr } = spawnSync('npm', args, {
    cwd,
    encoding: 'utf8',
    shell: process.platform === 'win32'
  })
  const said = `${stdout}${stderr}`.trim()
  const verdict = status === 0 ? 0 : UNANSWERED.test(said) ? 2 : 1
  console.log(`${what}: ${['fine', 'NOT FINE', 'the registry does not tell'][verdict]}`)
  if (said !== '') console.log(said.replaceAll(/^/gm, '  '))
  return verdict
}

const weaknesses = ask('Known weaknesses', 'audit', '--omit=dev')
const signatures = ask('Signatures of the registry', 'audit', 'signatures', '--omit=dev')
// Not every registry serves signatures; what the lock file pins holds without them.
process.exitCode = weaknesses === 1 || signatures === 1 ? 1 : weaknesses
