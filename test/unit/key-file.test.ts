import { randomUUID } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { ConfiguredSecrets } from '../../src/config.js'
import { loadCurve } from '../../src/curve/load.js'
import { loadIdentityKey } from '../../src/keys/key-file.js'
import { StartError } from '../../src/start-error.js'

const KEY = '11'.repeat(32)
const ORDER = 'fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141'

describe('identity key', () => {
  const curve = loadCurve()
  let folder: string

  function secrets(set: Partial<ConfiguredSecrets> = {}): ConfiguredSecrets {
    const none = {
      privateKey: undefined,
      privateKeyFile: undefined,
      databaseUrl: undefined,
      redisUrl: undefined,
      walletUrl: undefined
    }
    return { ...none, ...set }
  }

  function refusal(set: Partial<ConfiguredSecrets>): string {
    try {
      loadIdentityKey(curve, secrets(set), folder)
    } catch (error) {
      expect(error).to.be.instanceOf(StartError)
      return String(error)
    }
    throw new Error('the key was taken')
  }

  function keyFile(text: string, mode: number): string {
    const file = join(folder, randomUUID())
    writeFileSync(file, text)
    chmodSync(file, mode)
    return file
  }

  beforeEach(() => {
    folder = join(tmpdir(), `peerserv-key-${randomUUID()}`)
    mkdirSync(folder)
  })

  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('is made at the first start, for nobody else to read, and kept', () => {
    const nested = join(folder, 'deep', 'data')
    const first = loadIdentityKey(curve, secrets(), nested)
    expect(first.isNew).to.equal(true)
    expect(curve.isPrivateKey(first.privateKey)).to.equal(true)
    expect(readdirSync(nested)).to.deep.equal(['identity.key'])
    expect(statSync(first.origin).mode & 0o777).to.equal(0o600)
    expect(loadIdentityKey(curve, secrets(), nested)).to.deep.equal({ ...first, isNew: false })
  })

  it('is made with mode 0600 under any umask', () => {
    const before = process.umask(0)
    const { origin } = loadIdentityKey(curve, secrets(), folder)
    process.umask(before)
    expect(statSync(origin).mode & 0o777).to.equal(0o600)
  })

  for (const mode of [0o640, 0o604, 0o610]) {
    it(`in DATA_DIR is refused with mode ${mode.toString(8)}`, () => {
      const { origin } = loadIdentityKey(curve, secrets(), folder)
      chmodSync(origin, mode)
      expect(refusal({})).to.contain(`chmod 600 ${origin}`)
    })
  }

  it('comes from SERVER_PRIVATE_KEY, and then none is made', () => {
    const loaded = loadIdentityKey(curve, secrets({ privateKey: Buffer.from(KEY, 'hex') }), folder)
    expect(loaded).to.deep.equal({
      privateKey: Buffer.from(KEY, 'hex'),
      origin: 'SERVER_PRIVATE_KEY',
      isNew: false,
      warnings: []
    })
    expect(readdirSync(folder)).to.deep.equal([])
  })

  it('comes from SERVER_PRIVATE_KEY_FILE, with a warning if others may read it', () => {
    const closed = loadIdentityKey(curve, secrets({ privateKeyFile: keyFile(`${KEY}\n`, 0o400) }), folder)
    expect(closed.privateKey).to.deep.equal(Buffer.from(KEY, 'hex'))
    expect(closed.warnings).to.deep.equal([])
    const open = loadIdentityKey(curve, secrets({ privateKeyFile: keyFile(KEY, 0o444) }), folder)
    expect(open.warnings).to.have.length(1)
  })

  it('is never replaced, not even if it cannot be used', () => {
    const file = join(folder, 'identity.key')
    writeFileSync(file, 'damaged', { mode: 0o600 })
    expect(refusal({})).to.contain('does not hold a private key')
    expect(readFileSync(file, 'utf8')).to.equal('damaged')
  })

  const wrong: [string, () => Partial<ConfiguredSecrets>, RegExp][] = [
    ['zero', () => ({ privateKey: new Uint8Array(32) }), /SERVER_PRIVATE_KEY is no private key/],
    ['the order', () => ({ privateKey: Buffer.from(ORDER, 'hex') }), /SERVER_PRIVATE_KEY is no private key/],
    [
      'the order, in a file',
      () => ({ privateKeyFile: keyFile(ORDER, 0o600) }),
      /SERVER_PRIVATE_KEY_FILE .* no priv/
    ],
    ['a short text', () => ({ privateKeyFile: keyFile(KEY.slice(2), 0o600) }), /does not hold a private key/],
    ['a large file', () => ({ privateKeyFile: keyFile(KEY.repeat(20), 0o600) }), /too large/],
    ['a missing file', () => ({ privateKeyFile: join(folder, 'none') }), /cannot be read \(ENOENT\)/],
    ['a folder', () => ({ privateKeyFile: folder }), /cannot be read \(EISDIR\)|too large/]
  ]
  for (const [what, set, expected] of wrong) {
    it(`is refused if it is ${what}, without showing it`, () => {
      const message = refusal(set())
      expect(message).to.match(expected)
      expect(message).not.to.match(/1111|ffff/)
    })
  }
})
