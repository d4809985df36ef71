import { expect } from 'chai'
import { VERSION } from '../../src/version.js'
import { TestUser } from '../support/client.js'
import { Folder, Program } from './program.js'

const COMMANDS = [
  ...['start', 'mesh', 'doctor', 'keygen', 'whoami', 'send', 'list', 'ack'],
  ...['watch', 'authorize', 'revoke', 'lookup', 'deliveries', 'hosts', 'block', 'unblock', 'allow', 'unallow']
]

describe('command line', function () {
  this.timeout(60_000)
  const folder = new Folder()
  const program = new Program(folder)

  after(() => folder.remove())

  it('names every command in its help', async () => {
    const { code, stdout, stderr } = await program.call('--help')
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' })
    for (const command of COMMANDS) expect(stdout).to.match(new RegExp(`^ {2}${command} `, 'm'))
  })

  it('explains each command', async () => {
    const outcomes = await Promise.all(COMMANDS.map(command => program.call(command, '--help')))
    outcomes.forEach(({ code, stdout }, i) => {
      expect(code).to.equal(0)
      expect(stdout).to.match(new RegExp(`^Usage: npx peerserv ${COMMANDS[i]}`))
      expect(stdout).to.contain('--json')
    })
  })

  it('gives its exit code to whoever started it', async () => {
    const outcomes = await Promise.all([program.run('--help'), program.run('whoami'), program.run('launch')])
    expect(outcomes.map(({ code }) => code)).to.deep.equal([0, 1, 2])
    expect(outcomes.map(({ stdout, stderr }) => [stdout !== '', stderr !== ''])).to.deep.equal([
      [true, false],
      [false, true],
      [false, true]
    ])
  })

  it('tells its version', async () => {
    expect((await program.call('--version')).stdout).to.equal(`${VERSION}\n`)
    expect((await program.json('--version')).events).to.deep.equal([{ version: VERSION }])
  })

  const WRONG: readonly (readonly [string, ...string[]])[] = [
    ['which command?'],
    ["there is no command 'launch'", 'launch'],
    ["Unknown option '--frob'", 'whoami', '--frob'],
    ["Unexpected argument 'now'", 'start', 'now'],
    ['--to is missing', 'send', '--body', 'hello'],
    ['--body is missing', 'send', '--to', new TestUser('bob').identityKey],
    ["'nobody' is no identity key", 'send', '--to', 'nobody', '--body', 'hello'],
    ['two different users', 'whoami', '--as', 'alice', '--key', 'alice.key'],
    ["'../alice' is no name", 'whoami', '--as', '../alice'],
    ['give either ids, or --all', 'ack'],
    ['give either ids, or --all', 'ack', '1', '--all'],
    ['--limit is a positive number', 'list', '--limit', 'many'],
    ["'ftp://x' is no URL of a node", 'list', '--node', 'ftp://x'],
    ["'https://x.org/path' is no URL of a node", 'list', '--node', 'https://x.org/path'],
    ['--boxes is for --routing', 'authorize', '--sending', '--boxes', 'x'],
    ['--host is for --withdraw', 'revoke', '--host', 'x'],
    ['<recipient> is missing', 'lookup'],
    ["'65534' is not the first of three ports", 'mesh', '--port', '65534']
  ]

  it('ends with 2 and one hint where it is used wrongly', async () => {
    const outcomes = await Promise.all(WRONG.map(([, ...args]) => program.call(...args)))
    outcomes.forEach(({ code, stdout, stderr }, i) => {
      const [problem, command = ''] = WRONG[i]!
      expect({ code, stdout }, problem).to.deep.equal({ code: 2, stdout: '' })
      expect(stderr).to.contain(problem)
      expect(stderr.trim().split('\n')).to.have.length(2)
      expect(stderr).to.contain(COMMANDS.includes(command) ? `peerserv ${command} --help` : 'peerserv --help')
    })
  })

  it('tells programs on standard output what went wrong', async () => {
    const { code, events } = await program.json('send', '--body', 'hello')
    expect(code).to.equal(2)
    expect(events).to.have.length(1)
    expect(events[0]).to.include({ status: 'error', code: 'ERR_USAGE' })
  })

  it('takes what follows -- for data', async () => {
    const { code, stderr } = await program.call('whoami', '--', '--help')
    expect(code).to.equal(2)
    expect(stderr).to.contain("Unexpected argument '--help'")
  })
})
