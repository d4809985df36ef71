import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { claimPushes } from '../../federation/storage/pushes.js'
import type { NodeOptions } from '../../src/node.js'
import { createTestAuthority } from '../support/certificates.js'
import { TestUser } from '../support/client.js'
import { type FakeFcm, startFakeFcm } from '../support/fake-fcm.js'
import { type FakeWebPush, startFakeWebPush } from '../support/fake-web-push.js'
import { LiveUser } from '../support/live-client.js'
import {
  authorizeRouting,
  authorizeSending,
  freePort,
  startTestNode,
  type TestNode,
  until
} from '../support/nodes.js'

const BOX = 'notifications'
/** More than a node leaves between two pushes to one device, ms. */
const LATER = 6_000

/** Strangers would have to pay for a place in this box. */
async function takeFreely(user: TestUser, { url }: TestNode): Promise<void> {
  const answer = await user.post(url, '/permissions/set', { messageBox: BOX, recipientFee: 0 })
  expect(answer.status, answer.body.toString()).to.equal(200)
}

describe('pushes', () => {
  const authority = createTestAuthority()
  const accountFile = join(tmpdir(), `service-account-${randomUUID()}.json`)
  const clock = { ahead: 0, now: () => Date.now() + clock.ahead }
  const alice = new TestUser('alice of pushes')
  let webPush: FakeWebPush
  let fcm: FakeFcm
  let node: TestNode
  let other: TestNode
  let applicationServerKey: string

  before(async function () {
    if (authority === undefined) this.skip()
    webPush = await startFakeWebPush(clock.now)
    fcm = await startFakeFcm(authority, accountFile, clock.now)
    const ports = [await freePort(), await freePort()]
    const options: Partial<NodeOptions> = { clock, federation: { random: () => 0, outbound: fcm.outbound } }
    ;[node, other] = await Promise.all([
      startTestNode('pushing', {
        port: ports[0]!,
        peers: [`http://localhost:${ports[1]}`],
        environment: {
          PUSH_CONTACT: 'mailto:operator@example.org',
          FCM_SERVICE_ACCOUNT_FILE: accountFile,
          PUSH_BOXES: `${BOX},alarms`
        },
        options
      }),
      startTestNode('not pushing', {
        port: ports[1]!,
        peers: [`http://localhost:${ports[0]}`],
        options: { clock }
      })
    ])
    const document = await fetch(`${node.url}/.well-known/peerserv`)
    const { push } = (await document.json()) as { push: Record<string, unknown> }
    expect(push).to.include({ fcm: true }).and.to.have.deep.property('messageBoxes', [BOX, 'alarms'])
    applicationServerKey = String(push.applicationServerKey)
  })
  after(async () => {
    await Promise.all([node?.remove(), other?.remove()])
    await Promise.all([webPush?.close(), fcm?.close()])
    rmSync(accountFile, { force: true })
    authority?.remove()
  })
  afterEach(() => {
    webPush.answer(undefined)
    fcm.answer(undefined)
    expect([...webPush.faults.splice(0), ...fcm.faults.splice(0)]).to.deep.equal([])
  })

  let users = 0
  interface Owner {
    readonly user: TestUser
    /** What a browser of his heard, as text. */
    heard(): string[]
  }
  /** Somebody with a browser. */
  async function newOwner(): Promise<Owner & { readonly subscription: object }> {
    const user = new TestUser(`owner of pushes ${users++}`)
    const subscription = webPush.subscribe(applicationServerKey)
    await register(user, { subscription })
    const path = new URL(subscription.endpoint).pathname
    const heard = () =>
      webPush.heard.filter(({ subscription }) => subscription === path).map(({ text }) => text)
    return { user, subscription, heard }
  }
  async function register(user: TestUser, device: object): Promise<void> {
    const answer = await user.post(node.url, '/registerDevice', device)
    expect(answer.json, answer.body.toString()).to.include({ status: 'success', pushes: true })
    await takeFreely(user, node)
  }
  async function send(to: TestUser, messageBox = BOX, body = 'a secret', from = node): Promise<void> {
    const message = { recipient: to.identityKey, messageBox, body }
    const answer = await alice.post(from.url, '/sendMessage', { message })
    expect(answer.status, answer.body.toString()).to.equal(200)
  }
  /** What was heard has been written down, too: only then the clock may go on. */
  const written = () =>
    until(
      () =>
        node.databases.database.query({ name: '', text: 'select from devices where claim is not null' }, []),
      claimed => claimed.length === 0
    )
  async function hears(owner: Owner, count: number): Promise<string[]> {
    const texts = await until(
      async () => owner.heard(),
      texts => texts.length >= count
    )
    await written()
    return texts
  }
  const active = async (user: TestUser) => {
    const { json } = await user.get(node.url, '/devices')
    return (json.devices as { active: boolean }[]).map(device => device.active)
  }
  /** When everything that was asked of the node before has been pushed, as what is sent after it is. */
  async function settled(): Promise<void> {
    const last = await newOwner()
    await send(last.user)
    await hears(last, 1)
  }

  it('tell a browser where to look, and nothing of the message', async () => {
    const bob = await newOwner()
    await send(bob.user)
    const [text] = await hears(bob, 1)
    expect(JSON.parse(text!)).to.deep.equal({ host: node.domain, messageBoxes: [BOX] })
    const { headers } = webPush.heard.at(-1)!
    expect(headers).to.include({ 'content-encoding': 'aes128gcm', topic: 'messages', ttl: '86400' })
  })

  it('tell a phone through FCM, with one access token for all, and another when it is refused', async () => {
    const bob = new TestUser('phone of pushes')
    await register(bob, { fcmToken: 'phone-1', platform: 'android' })
    const heard = async (count: number) => {
      const messages = await until(
        async () => fcm.heard.filter(({ token }) => token === 'phone-1'),
        messages => messages.length === count
      )
      await written()
      return messages
    }
    await send(bob)
    const [message] = await heard(1)
    expect(message).to.deep.include({
      notification: { title: 'New message' },
      data: { host: node.domain, messageBoxes: JSON.stringify([BOX]) }
    })
    expect(JSON.stringify(fcm.heard)).to.not.contain('secret')
    clock.ahead += LATER
    await send(bob)
    await heard(2)
    expect(fcm.given()).to.equal(1)
    fcm.revoke()
    clock.ahead += LATER
    await send(bob)
    await heard(3)
    expect(fcm.given()).to.equal(2)
  })

  it('come for the configured boxes only', async () => {
    const bob = await newOwner()
    await send(bob.user, 'inbox')
    await settled()
    expect(bob.heard()).to.deep.equal([])
    await send(bob.user, 'alarms')
    const [text] = await hears(bob, 1)
    expect(JSON.parse(text!)).to.have.deep.property('messageBoxes', ['alarms'])
  })

  it('come for what a socket and another node brought', async () => {
    const [bob, carol] = [await newOwner(), await newOwner()]
    const live = new LiveUser('sender of pushes', node.url)
    try {
      await live.send(bob.user, BOX, 'live')
    } finally {
      await live.close()
    }
    await hears(bob, 1)
    await authorizeRouting(carol.user, node)
    await authorizeSending(alice, other)
    await send(carol.user, BOX, 'from afar', other)
    await hears(carol, 1)
  })

  it('are one for a burst, and one more for what comes after it', async () => {
    const bob = await newOwner()
    await Promise.all(Array.from({ length: 20 }, (_, i) => send(bob.user, BOX, `burst ${i}`)))
    await hears(bob, 1)
    await send(bob.user, BOX, 'soon after')
    await settled()
    expect(bob.heard()).to.have.length(1)
    clock.ahead += LATER
    await hears(bob, 2)
    clock.ahead += LATER
    await settled()
    expect(bob.heard()).to.have.length(2)
  })

  it('are tried again when the service is ill, not before it says, and not for what was read meanwhile', async () => {
    const [bob, carol] = [await newOwner(), await newOwner()]
    webPush.answer({ status: 503, headers: { 'retry-after': '300' } })
    await Promise.all([send(bob.user), send(carol.user)])
    const text = 'select from devices where failures = 1 and claim is null'
    await until(
      () => node.databases.database.query({ name: '', text }, []),
      failing => failing.length === 2
    )
    webPush.answer(undefined)
    clock.ahead += 200_000
    await settled()
    expect([...bob.heard(), ...carol.heard()]).to.deep.equal([])
    const { messages } = (await carol.user.post(node.url, '/listMessages', { messageBox: BOX })).json
    const messageIds = (messages as { messageId: string }[]).map(({ messageId }) => messageId)
    await carol.user.post(node.url, '/acknowledgeMessage', { messageIds })
    clock.ahead += 200_000
    await hears(bob, 1)
    await settled()
    expect(carol.heard()).to.deep.equal([])
  })

  it('are given up for devices that are gone, until they are registered again', async () => {
    const bob = await newOwner()
    webPush.answer({ status: 410 })
    await send(bob.user)
    await until(
      () => active(bob.user),
      ([isActive]) => isActive === false
    )
    webPush.answer(undefined)
    clock.ahead += LATER
    await send(bob.user)
    await settled()
    expect(bob.heard()).to.deep.equal([])
    await register(bob.user, { subscription: bob.subscription })
    await send(bob.user)
    await hears(bob, 1)

    const carol = new TestUser('gone phone of pushes')
    await register(carol, { fcmToken: 'phone-2' })
    fcm.answer({ status: 404, errorCode: 'UNREGISTERED' })
    await send(carol)
    await until(
      () => active(carol),
      ([isActive]) => isActive === false
    )
  })

  it('do not end with a process that died before it could mark or push', async () => {
    const [bob, carol] = [await newOwner(), await newOwner()]
    await node.stop()
    // A process that knows of no pushes, as if it had died right after the commit.
    const silent = await startTestNode('pushing', {
      environment: { DATABASE_URL: node.databases.connectionString },
      options: { clock }
    })
    try {
      await Promise.all([send(bob.user, BOX, 'a', silent), send(carol.user, BOX, 'b', silent)])
    } finally {
      await silent.remove()
    }
    // And one that died while it pushed.
    const { database } = node.databases
    const key = Buffer.from(carol.user.identityKey, 'hex')
    await database.query(
      { name: '', text: 'update devices set due_at = $2::bigint where recipient = $1::bytea' },
      [key, clock.now()]
    )
    const host = new URL(webPush.origin).host
    const rules = { boxes: [BOX], services: ['web-push' as const], interval: 0 }
    const claimed = await claimPushes(database, host, clock.now(), clock.now() + 25_000, rules, 10)
    expect(claimed.map(({ recipient }) => recipient.equals(key))).to.deep.equal([true])
    await node.restart()
    await until(
      async () => bob.heard(),
      texts => texts.length === 1
    )
    expect(carol.heard()).to.deep.equal([])
    clock.ahead += 26_000
    await hears(carol, 1)
  })

  it('are not marked for recipients without devices', async () => {
    const { database } = node.databases
    const marked = () =>
      database.query({ name: '', text: 'select from devices where due_at is not null' }, [])
    const nobody = new TestUser('nobody with devices')
    await takeFreely(nobody, node)
    await send(nobody)
    await settled()
    expect(await until(marked, rows => rows.length === 0)).to.deep.equal([])
  })
})

describe('pushes to an endpoint that somebody chose', () => {
  it('never reach an address of this machine', async () => {
    let calls = 0
    const victim = createServer((_request, response) => {
      calls += 1
      response.end()
    }).listen(0, '127.0.0.1')
    const dialled: string[] = []
    const fake = await startFakeWebPush(Date.now)
    const node = await startTestNode('guarded pushing', {
      environment: {
        NETWORK: 'private',
        PUBLIC_DOMAIN: 'relay.example.org',
        PUSH_CONTACT: 'mailto:operator@example.org'
      },
      options: {
        federation: {
          outbound: {
            resolver: async hostname =>
              hostname === 'inside.example.org' ? ['127.0.0.1'] : ['93.184.216.34'],
            connector({ hostname }) {
              dialled.push(hostname)
              const { port } = victim.address() as { port: number }
              return connect(port, '127.0.0.1')
            }
          }
        }
      }
    })
    const mallory = new TestUser('mallory of pushes')
    try {
      const { keys } = fake.subscribe('') as unknown as { keys: object }
      const register = (endpoint: string) =>
        mallory.post(node.url, '/registerDevice', { subscription: { endpoint, keys } })
      for (const endpoint of [
        'https://127.0.0.1/',
        'https://localhost/',
        'https://[::1]/',
        'http://push.example.org/',
        'https://push.example.org:8443/',
        'https://169.254.169.254/latest/meta-data'
      ]) {
        expect((await register(endpoint)).json.code, endpoint).to.equal('ERR_INVALID_SUBSCRIPTION')
      }
      expect((await register('https://inside.example.org/x')).status).to.equal(200)
      await takeFreely(mallory, node)
      const message = { recipient: mallory.identityKey, messageBox: BOX, body: 'x' }
      expect((await mallory.post(node.url, '/sendMessage', { message })).status).to.equal(200)
      await until(
        async () => (await mallory.get(node.url, '/devices')).json.devices as { active: boolean }[],
        ([device]) => device?.active === false
      )
      expect({ calls, dialled }).to.deep.equal({ calls: 0, dialled: [] })
    } finally {
      await node.remove()
      await fake.close()
      victim.close()
    }
  })
})
