import { createECDH, randomBytes } from 'node:crypto'
import { MessageBoxClient } from '@bsv/message-box-client'
import { expect } from 'chai'
import { TestUser } from '../support/client.js'
import { startTestNode, type TestNode } from '../support/nodes.js'
import { stockWallet } from '../support/stock-client.js'

const MOST = 3

interface Listed {
  readonly id: number
  readonly deviceId: string | null
  readonly platform: string | null
  readonly service: string
  readonly fcmToken: string
  readonly active: boolean
}

function subscription(endpoint = 'https://push.example.org/x'): Record<string, unknown> {
  const keys = {
    p256dh: createECDH('prime256v1').generateKeys('base64url'),
    auth: randomBytes(16).toString('base64url')
  }
  return { endpoint, expirationTime: null, keys }
}

describe('devices', () => {
  let node: TestNode
  before(async () => {
    node = await startTestNode('devices', { environment: { LIMIT_DEVICES: String(MOST) } })
  })
  after(() => node.remove())

  let users = 0
  const newUser = () => new TestUser(`owner of devices ${users++}`)
  const register = async (user: TestUser, device: object) => user.post(node.url, '/registerDevice', device)
  async function list(user: TestUser): Promise<readonly Listed[]> {
    const answer = await user.get(node.url, '/devices')
    expect(answer).to.include({ status: 200, signature: 'valid' })
    return answer.json.devices as Listed[]
  }

  it('are registered, listed and changed by the stock client', async () => {
    const user = newUser()
    const client = new MessageBoxClient({
      walletClient: stockWallet(user),
      host: node.url,
      networkPreset: 'local'
    })
    const fcmToken = `${randomBytes(80).toString('base64url')}`
    const first = await client.registerDevice({ fcmToken, platform: 'ios', deviceId: 'phone' })
    expect(first).to.include({ status: 'success' })
    expect(first.deviceId).to.be.a('number')
    const again = await client.registerDevice({ fcmToken: ` ${fcmToken} `, platform: 'android' })
    expect(again.deviceId).to.equal(first.deviceId)
    const [device, ...others] = await client.listRegisteredDevices()
    expect(others).to.deep.equal([])
    const { createdAt, updatedAt, lastUsed, ...rest } = device!
    expect(rest).to.deep.equal({
      id: first.deviceId,
      deviceId: null,
      platform: 'android',
      service: 'fcm',
      fcmToken: `...${fcmToken.slice(-10)}`,
      active: true
    })
    for (const time of [createdAt, updatedAt, lastUsed])
      expect(Date.parse(time)).to.be.closeTo(Date.now(), 60_000)
  })

  it('are browsers, too', async () => {
    const user = newUser()
    const device = { subscription: subscription(), platform: 'web', deviceId: 'browser' }
    const answer = await register(user, device)
    expect(answer.status, answer.body.toString()).to.equal(200)
    // Nothing is configured here, so nothing is pushed.
    expect(answer.json.pushes).to.equal(false)
    expect(await list(user)).to.have.length(1)
    expect((await list(user))[0]).to.include({
      service: 'web-push',
      platform: 'web',
      fcmToken: '...mple.org/x'
    })
  })

  it('are seen by nobody else, and one token may be that of two identities on one device', async () => {
    const [alice, bob] = [newUser(), newUser()]
    await register(alice, { fcmToken: 'shared' })
    expect(await list(bob)).to.deep.equal([])
    await register(bob, { fcmToken: 'shared' })
    expect(await list(alice)).to.have.length(1)
    expect(await list(bob)).to.have.length(1)
  })

  it('are as many as the node allows, also when many come at once: the oldest go', async () => {
    const user = newUser()
    await user.session(node.url)
    await register(user, { fcmToken: 'the-first' })
    await Promise.all(Array.from({ length: 10 }, (_, i) => register(user, { fcmToken: `device-${i}` })))
    await register(user, { fcmToken: 'the-last' }).then(({ status }) => expect(status).to.equal(200))
    const tokens = (await list(user)).map(({ fcmToken }) => fcmToken)
    expect(tokens).to.have.length(MOST)
    expect(tokens).to.include('...the-last')
  })

  it('are one where the same comes ten times at once', async () => {
    const user = newUser()
    await user.session(node.url)
    const answers = await Promise.all(Array.from({ length: 10 }, () => register(user, { fcmToken: 'same' })))
    expect(new Set(answers.map(({ json }) => json.deviceId)).size).to.equal(1)
    expect(await list(user)).to.have.length(1)
  })

  it('are unregistered by number, token or endpoint, and by their owner alone', async () => {
    const [user, other] = [newUser(), newUser()]
    const { json } = await register(user, { fcmToken: 'one' })
    await register(user, { fcmToken: 'two' })
    await register(user, { subscription: subscription('https://push.example.org/three') })
    const remove = async (who: TestUser, device: object) => {
      const { status, json } = await who.post(node.url, '/unregisterDevice', device)
      return json.code ?? (status === 200 && json.removed)
    }
    expect(await remove(other, { deviceId: json.deviceId })).to.equal(false)
    expect(await remove(other, { fcmToken: 'one' })).to.equal(false)
    expect(await remove(user, { deviceId: json.deviceId })).to.equal(true)
    expect(await remove(user, { deviceId: json.deviceId })).to.equal(false)
    expect(await remove(user, { fcmToken: 'two' })).to.equal(true)
    expect(await remove(user, { endpoint: 'https://push.example.org/three' })).to.equal(true)
    expect(await list(user)).to.deep.equal([])
    expect(await remove(user, {})).to.equal('ERR_INVALID_DEVICE')
    expect(await remove(user, { deviceId: 1, fcmToken: 'one' })).to.equal('ERR_INVALID_DEVICE')
    expect(await remove(user, { deviceId: 'one' })).to.equal('ERR_INVALID_DEVICE_ID')
  })

  it('are refused with the reason', async () => {
    const user = newUser()
    const withKeys = (keys: object) => ({ subscription: { ...subscription(), keys } })
    const { keys } = subscription() as { keys: Record<string, string> }
    const offCurve = Buffer.concat([Buffer.of(4), Buffer.alloc(64, 1)]).toString('base64url')
    const cases: [object, string][] = [
      [{}, 'ERR_INVALID_FCM_TOKEN'],
      [{ fcmToken: ' ' }, 'ERR_INVALID_FCM_TOKEN'],
      [{ fcmToken: 'x'.repeat(4097) }, 'ERR_INVALID_FCM_TOKEN'],
      [{ fcmToken: 'x', platform: 'windows' }, 'ERR_INVALID_PLATFORM'],
      [{ fcmToken: 'x', deviceId: 7 }, 'ERR_INVALID_DEVICE_ID'],
      [{ fcmToken: 'x', subscription: subscription() }, 'ERR_INVALID_DEVICE'],
      [{ subscription: 'x' }, 'ERR_INVALID_SUBSCRIPTION'],
      [{ subscription: subscription('ftp://push.example.org/') }, 'ERR_INVALID_SUBSCRIPTION'],
      [{ subscription: subscription('https://user@push.example.org/') }, 'ERR_INVALID_SUBSCRIPTION'],
      [
        { subscription: subscription(`https://push.example.org/${'x'.repeat(1024)}`) },
        'ERR_INVALID_SUBSCRIPTION'
      ],
      [withKeys({}), 'ERR_INVALID_SUBSCRIPTION'],
      [withKeys({ ...keys, p256dh: offCurve }), 'ERR_INVALID_SUBSCRIPTION'],
      [withKeys({ ...keys, auth: 'AAAA' }), 'ERR_INVALID_SUBSCRIPTION']
    ]
    for (const [device, code] of cases) {
      const { status, json } = await register(user, device)
      expect({ status, code: json.code }, JSON.stringify(device)).to.deep.equal({ status: 400, code })
    }
    expect(await list(user)).to.deep.equal([])
  })

  it('are not registered a second time by the same signed request', async () => {
    const user = newUser()
    const first = await register(user, { fcmToken: 'replayed' })
    await user.post(node.url, '/unregisterDevice', { fcmToken: 'replayed' })
    expect((await user.send(node.url, first.request)).status).to.equal(401)
    expect(await list(user)).to.deep.equal([])
  })
})
