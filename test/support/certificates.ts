import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A key and its certificate, PEM. */
export interface Certificate {
  readonly key: string
  readonly cert: string
}

/** A certificate authority of its own, made anew for each test run, so that none can expire. */
export interface TestAuthority {
  /** PEM, to be trusted. */
  readonly ca: string
  /** A certificate for these DNS names. */
  issue(...names: readonly string[]): Certificate
  /** Removes its files. */
  remove(): void
}

/** Undefined where there is no `openssl` to make certificates with: then the tests that need them are skipped. */
export function createTestAuthority(): TestAuthority | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'peerserv-ca-'))
  const path = (name: string) => join(directory, name)
  const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { stdio: 'ignore' })
  const read = (name: string) => readFileSync(path(name), 'utf8')
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const remove = () => rmSync(directory, { recursive: true, force: true })
  try {
    const caFiles = ['-keyout', path('ca.key'), '-out', path('ca.pem')]
    openssl('req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=test authority', ...caFiles)
  } catch {
    remove()
    return undefined
  }
  let issued = 0
  return {
    ca: read('ca.pem'),
    remove,
    issue(...names) {
      const name = `host-${issued++}`
      const [key, request, cert, extensions] = ['key', 'csr', 'pem', 'ext'].map(ending =>
        path(`${name}.${ending}`)
      )
      writeFileSync(extensions!, `subjectAltName=${names.map(dns => `DNS:${dns}`).join(',')}\n`)
      openssl('req', '-new', ...newKey, '-subj', `/CN=${name}`, '-keyout', key!, '-out', request!)
      const signer = ['-CA', path('ca.pem'), '-CAkey', path('ca.key'), '-CAcreateserial']
      openssl(
        'x509',
        '-req',
        '-in',
        request!,
        '-out',
        cert!,
        '-days',
        '2',
        ...signer,
        '-extfile',
        extensions!
      )
      return { key: readFileSync(key!, 'utf8'), cert: readFileSync(cert!, 'utf8') }
    }
  }
}
