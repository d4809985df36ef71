import { expect } from 'chai'
import { inspect } from '../support/advertised.js'
import { TestUser } from '../support/client.js'
import { TAKEN } from '../support/fake-host.js'
import { MailToHosts } from '../support/mail-to-hosts.js'
import { startTestNode, type TestNode, until } from '../support/nodes.js'

const HOUR = 60 * 60_000
/** Waits that a right clock sets too, s. */
const FIFTY_MINUTES = 3_000

for (const [name, error, isRestarted] of [
  ['three hours ahead', 3 * HOUR, false],
  ['three hours ahead, and is started anew when it has been set', 3 * HOUR, true],
  ['three hours behind', -3 * HOUR, false]
] as const) {
  describe(`a node whose clock was ${name}`, () => {
    let node: TestNode
    let mail: MailToHosts
    const clock = { ahead: error as number, now: () => Date.now() + clock.ahead }

    before(async () => {
      node = await startTestNode('corrected', { options: { clock, federation: { random: () => 0 } } })
      mail = new MailToHosts(node, new TestUser('alice of a corrected clock'))
    })
    after(async () => {
      await node?.remove()
      await mail?.close()
    })

    it('tries soon what was put off, and what a worker that was killed had claimed', async () => {
      const [bob, carol, dave] = ['bob', 'carol', 'dave'].map(user => new TestUser(`${user} of a clock`))
      const dead = await mail.hostOf('dead of a clock', bob!)
      const revive = dead.cutsConnections()
      const full = await mail.hostOf('full of a clock', carol!, 503, { retryAfter: FIFTY_MINUTES })
      const claimed = await mail.hostOf('claimed of a clock', dave!, 507)
      full.answersBy(() => (_request, response) => {
        response.writeHead(503, { 'retry-after': String(FIFTY_MINUTES) }).end()
      })
      const send = (to: TestUser, id: string) => mail.send(to, id, 'inbox', clock.now())
      await send(bob!, 'to the dead')
      await send(carol!, 'to the full')
      await send(dave!, 'is claimed')
      const wait = `select backoff_until from destinations where domain in ($1, $2)`
      await until(
        () => inspect(node, wait, dead.domain, full.domain),
        rows => rows.length === 2
      )
      const { lastAnswer } = (
        await until(
          () => mail.deliveries('is claimed'),
          ([delivery]) => (delivery?.attempts ?? 0) > 0 && delivery?.lastAnswer !== null
        )
      )[0]!
      expect(lastAnswer).to.be.a('string')
      await inspect(
        node,
        `update destinations set backoff_until = $1::bigint, failures = 12 where domain = $2`,
        clock.now() + FIFTY_MINUTES * 1_000,
        dead.domain
      )
      await inspect(
        node,
        `update deliveries set claim = new_claim(), claimed_until = $1::bigint where message_id = 'is claimed'`,
        clock.now() + 8_000
      )
      revive()
      full.answers(200, TAKEN)
      claimed.answers(200, TAKEN)
      if (isRestarted) await node.stop()
      clock.ahead = 0
      if (isRestarted) await node.restart()
      for (const id of ['to the dead', 'to the full', 'is claimed']) {
        expect((await mail.settled(id))[0]).to.include({ state: 'delivered' })
      }
    })
  })
}
