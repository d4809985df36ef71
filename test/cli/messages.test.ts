import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { expect } from 'chai'
import { exchange, jsonRequest, TestUser } from '../support/client.js'
import { startTestNode, type TestNode } from '../support/nodes.js'
import { Folder, Program } from './program.js'

describe('commands of users', function () {
  this.timeout(60_000)
  const folder = new Folder()
  let program: Program
  let node: TestNode
  let alice: string
  let bob: string

  before(async () => {
    node = await startTestNode('for commands')
    program = new Program(folder, { PEERSERV_NODE: node.url })
    ;[alice, bob] = (await Promise.all(['alice', 'bob'].map(keygen))) as [string, string]
  })

  after(async () => {
    await node.remove()
    folder.remove()
  })

  async function keygen(name: string): Promise<string> {
    const { events } = await program.json('keygen', name)
    return String(events[0]?.identityKey)
  }

  async function send(...args: string[]): Promise<Record<string, unknown>> {
    const { code, events } = await program.json('send', '--as', 'alice', '--to', 'bob', ...args)
    expect(code).to.equal(0)
    return events[0]!
  }

  it('send, list and acknowledge', async () => {
    const sent = await send('--body', 'hello')
    expect(sent).to.include({ status: 'success', recipient: bob, messageBox: 'inbox', delivery: 'parked' })

    const listed = await program.json('list', '--as', 'bob')
    expect(listed.events).to.have.length(1)
    const { messageId } = sent
    expect(listed.events[0]).to.include({ messageId, sender: alice, body: 'hello', origin: 'local' })
    const shown = await program.call('list', '--as', 'bob')
    expect(shown.stdout).to.match(/^from alice \([0-9a-f]{8}….*\n.* {3}origin local {3}id \d+\n {4}hello\n$/)

    const ids = [String(messageId), '12345']
    expect((await program.json('ack', '--as', 'bob', ...ids)).events).to.deep.equal([
      { status: 'success', acknowledged: 1 }
    ])
    expect((await program.call('list', '--as', 'bob')).stdout).to.equal("The box 'inbox' is empty.\n")
  })

  it('sign what they send, so that it can be forwarded, unless they are told not to', async () => {
    const user = new TestUser('reads as a program')
    for (const [args, forwardable] of [
      [[], true],
      [['--no-sign'], false]
    ] as const) {
      const to = ['--to', user.identityKey, '--body', 'hello', '--box', 'signatures']
      await program.json('send', '--as', 'alice', ...to, ...args)
      const answer = await user.post(node.url, '/listMessages', { messageBox: 'signatures' })
      const [message] = answer.json.messages as { messageId: number; proof?: unknown }[]
      expect(message?.proof !== undefined).to.equal(forwardable)
      await user.post(node.url, '/acknowledgeMessage', { messageIds: [message!.messageId] })
    }
  })

  it('encrypt for the recipient, who alone can read it', async () => {
    await send('--body', 'a secret', '--box', 'sealed', '--encrypt')
    const { events } = await program.json('list', '--as', 'bob', '--box', 'sealed')
    expect(events[0]).to.include({ plaintext: 'a secret' })
    expect(events[0]!.body).to.match(/^\{"encryptedMessage":"[A-Za-z0-9+/]+=*"\}$/)
    expect((await program.call('list', '--as', 'bob', '--box', 'sealed')).stdout).to.contain('    a secret\n')
  })

  it('show a body as it was sent, and never let it steer the terminal', async () => {
    const wrapped = '{"message":"inner","more":1}'
    await send('--body', wrapped, '--box', 'odd')
    await send('--body', '\u001b[2J\u202eevil\nfrom carol', '--box', 'odd')
    const { events } = await program.json('list', '--as', 'bob', '--box', 'odd')
    expect(events.map(({ body }) => body)).to.deep.equal([wrapped, '\u001b[2J\u202eevil\nfrom carol'])
    const { stdout } = await program.call('list', '--as', 'bob', '--box', 'odd')
    expect(stdout).to.contain('    \\u{1b}[2J\\u{202e}evil\n    from carol\n')
    expect(stdout).not.to.contain('\u001b').and.not.to.contain('\u202e')
    expect(
      (await program.json('ack', '--as', 'bob', '--all', '--box', 'odd')).events[0]?.acknowledged
    ).to.equal(2)
  })

  it('watch: what is there, then what comes, until it is stopped', async () => {
    await send('--body', 'first', '--box', 'watched')
    const child = program.spawn('watch', '--as', 'bob', '--box', 'watched', '--json')
    const ended = once(child, 'exit')
    const bodies: unknown[] = []
    for await (const line of createInterface({ input: child.stdout })) {
      bodies.push(JSON.parse(line).body)
      if (bodies.length === 1) await send('--body', 'second', '--box', 'watched')
      else child.kill('SIGINT')
    }
    expect(bodies).to.deep.equal(['first', 'second'])
    expect(await ended).to.deep.equal([0, null])
  })

  it('authorize, look up, revoke and withdraw', async () => {
    const text = `${node.identityKey} ${node.domain} ^inbox$`
    const authorized = await program.json('authorize', '--as', 'bob', '--boxes', '^inbox$')
    expect(authorized.events.map(event => event.authorized)).to.deep.equal(['sending', 'routing'])
    expect(authorized.events[1]).to.include({ text })
    const days = (Date.parse(String(authorized.events[0]!.expires)) - Date.now()) / 86_400_000
    expect(days).to.be.within(89.9, 90)

    const found = await program.json('lookup', 'bob')
    expect(found.events).to.have.length(1)
    expect(found.events[0]).to.include({ domain: node.domain, operatorKey: node.identityKey, text })
    expect((await send('--body', 'home', '--box', 'inbox')).delivery).to.equal('local')

    expect((await program.json('revoke', '--as', 'bob')).events[0]).to.include({ revoked: true })
    expect((await program.json('lookup', bob)).events).to.deep.equal([])
    expect((await program.json('revoke', '--as', 'bob')).events[0]).to.include({ revoked: false })

    // Given up is not withdrawn: the same text counts again; withdrawn it never does.
    await program.json('authorize', '--as', 'bob', '--routing', '--boxes', '^inbox$')
    const withdrawn = await program.json('revoke', '--as', 'bob', '--withdraw')
    expect(withdrawn.events[0]).to.include({ status: 'success', withdrawn: text })
    expect(withdrawn.events[0]!.txid).to.match(/^[0-9a-f]{64}$/)
    expect((await program.call('lookup', 'bob')).stdout).to.equal(
      `${node.url} knows no host of this recipient.\n`
    )
    const refused = await program.json('authorize', '--as', 'bob', '--routing', '--boxes', '^inbox$')
    expect(refused.code).to.equal(1)
    expect(refused.events[0]).to.include({ status: 'error', code: 'ERR_AUTHORIZATION_WITHDRAWN' })
  })

  it('believe no answer to a lookup that does not verify', async () => {
    await program.json('authorize', '--as', 'alice', '--routing')
    const { body } = await exchange(
      node.url,
      jsonRequest('/lookup', { service: 'ls_phip', query: { recipient: alice } })
    )
    const [genuine] = JSON.parse(body.toString()).outputs
    const document = await (await fetch(`${node.url}/.well-known/peerserv`)).text()
    const garbage = { beef: [1, 0, 0xbe, 0xef, 255], outputIndex: 0 }
    const outputs = [genuine, garbage, { ...genuine, outputIndex: 7 }, 'nothing', {}]
    const liar = createServer((request, response) => {
      response.end(request.url === '/lookup' ? JSON.stringify({ type: 'output-list', outputs }) : document)
    }).listen(0, '127.0.0.1')
    await once(liar, 'listening')
    const port = String((liar.address() as AddressInfo).port)
    // What is true of alice is no token of bob.
    const [ofAlice, ofBob] = [
      await program.call('lookup', 'alice', '--node', port, '--json'),
      await program.call('lookup', 'bob', '--node', port, '--json')
    ]
    liar.close()
    expect(JSON.parse(ofAlice.stdout)).to.include({ operatorKey: node.identityKey })
    expect(ofAlice.stderr).to.contain('4 of the answers are not valid')
    expect(ofBob.stdout).to.equal('')
    expect(ofBob.stderr).to.contain('5 of the answers are not valid')
  })

  it('repeat what the node says when it refuses', async () => {
    const { code, events } = await program.json('send', '--as', 'alice', '--to', 'bob', '--body', ' ')
    expect(code).to.equal(1)
    expect(events[0]).to.include({ status: 'error', code: 'ERR_INVALID_MESSAGE_BODY' })
  })

  it('end with 1 where no node answers, or something else does', async () => {
    const stranger = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1')
    await once(stranger, 'listening')
    const { port } = stranger.address() as AddressInfo
    const foreign = await program.json('list', '--as', 'bob', '--node', String(port))
    stranger.close()
    const absent = await program.json('list', '--as', 'bob', '--node', String(port))
    expect([foreign.code, foreign.events[0]?.code]).to.deep.equal([1, 'ERR_NO_NODE'])
    expect([absent.code, absent.events[0]?.code]).to.deep.equal([1, 'ERR_NODE_UNREACHABLE'])
  })
})
