import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import { KeyDeriver } from '../../src/keys/key-deriver.js'
import { curve } from '../support/client.js'
import { Folder, Program } from './program.js'

describe('keys of users', function () {
  this.timeout(60_000)
  const folder = new Folder()
  const program = new Program(folder)

  after(() => folder.remove())

  it('are made for their owner alone, and never replaced', async () => {
    const made = await program.json('keygen', 'alice')
    const keyFile = folder.file('keys', 'alice.key')
    expect(made.code).to.equal(0)
    expect(statSync(keyFile).mode & 0o777).to.equal(0o600)
    expect(statSync(folder.file('keys')).mode & 0o777).to.equal(0o700)
    const text = readFileSync(keyFile, 'utf8')
    expect(text).to.match(/^[0-9a-f]{64}\n$/)
    const { identityKey } = new KeyDeriver(curve, Buffer.from(text.trim(), 'hex'))
    expect(made.events).to.deep.equal([{ identityKey, keyFile }])

    const again = await program.json('keygen', 'alice')
    expect(again.code).to.equal(1)
    expect(again.events[0]).to.include({ status: 'error', code: 'ERR_KEY_EXISTS' })
    expect(readFileSync(keyFile, 'utf8')).to.equal(text)

    const known = await program.call('whoami', '--as', 'alice')
    expect(known).to.deep.equal({
      code: 0,
      stdout: `${identityKey}\nThe key is in ${keyFile}.\n`,
      stderr: ''
    })
  })

  it('are found by name, by file, and by PEERSERV_KEY_FILE', async () => {
    const keyFile = folder.file('elsewhere', 'my.key')
    const made = await program.json('keygen', '--key', keyFile)
    expect((await program.json('whoami', '--key', keyFile)).events).to.deep.equal(made.events)
    const configured = program.with({ PEERSERV_KEY_FILE: keyFile })
    expect((await configured.json('whoami')).events).to.deep.equal(made.events)
    // What the command line says counts more, and keygen without a name never writes there.
    const byDefault = await configured.json('keygen')
    expect(byDefault.events[0]).to.include({ keyFile: folder.file('keys', 'default.key') })
    expect((await configured.json('whoami', '--as', 'default')).events).to.deep.equal(byDefault.events)
  })

  it('are not used where others may read them, or where they are none', async () => {
    const keyFile = folder.file('weak.key')
    writeFileSync(keyFile, `${'11'.repeat(32)}\n`)
    chmodSync(keyFile, 0o640)
    const exposed = await program.json('whoami', '--key', keyFile)
    expect(exposed.code).to.equal(1)
    expect(exposed.events[0]).to.include({ code: 'ERR_KEY_EXPOSED' })

    chmodSync(keyFile, 0o600)
    for (const text of ['00'.repeat(32), 'ff'.repeat(32), '11'.repeat(31), 'no key at all', '']) {
      writeFileSync(keyFile, text)
      const { code, events } = await program.json('whoami', '--key', keyFile)
      expect({ code, error: events[0]?.code }, text).to.deep.equal({ code: 1, error: 'ERR_INVALID_KEY' })
    }
  })

  it('that are missing come with the command that makes them', async () => {
    const { code, stderr } = await program.call('list', '--as', 'bob')
    expect(code).to.equal(1)
    expect(stderr).to.equal(
      `There is no key in ${folder.file('keys', 'bob.key')}; make one: npx peerserv keygen bob\n`
    )
  })
})
