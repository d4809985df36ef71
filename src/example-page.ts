import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { MountedEndpoint } from './endpoint.js'
import { StartError } from './start-error.js'

const PATH = '/examples/chat'
const FILES = [
  { path: PATH, file: 'index.html', type: 'text/html; charset=utf-8' },
  { path: `${PATH}/main.js`, file: 'main.js', type: 'text/javascript; charset=utf-8' },
  { path: `${PATH}/style.css`, file: 'style.css', type: 'text/css; charset=utf-8' }
]
/** Nothing but these files and this node: no inline script, no other origin, no frame, no markup made of text. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'"
].join('; ')

/**
 * GET /examples/chat, and the two files that the page loads (examples/browser-chat): a chat in the browser, with the stock
 * client. Read once, at start.
 *
 * @throws StartError if it was not built
 */
export function examplePage(): MountedEndpoint[] {
  const folder = builtFolder()
  return FILES.map(({ path, file, type }) => {
    const body = readFileSync(join(folder, file))
    const headers = { 'content-type': type, 'content-security-policy': POLICY, 'cache-control': 'no-cache' }
    return { method: 'GET', path, authenticated: false, handler: async () => ({ body, headers }) }
  })
}

/** `dist/examples/browser-chat` of this package, seen from `src/` and from `dist/src/`. */
function builtFolder(): string {
  const candidates = ['../dist', '..'].map(up => join(import.meta.dirname, up, 'examples', 'browser-chat'))
  const found = candidates.find(folder => existsSync(join(folder, 'main.js')))
  if (found === undefined) {
    throw new StartError('EXAMPLES is on, and the page is not there; "npm run build" makes it.')
  }
  return found
}
