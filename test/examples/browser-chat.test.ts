import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Browser, Page } from 'playwright-core'
import { CHROMIUM_PROGRAM, startChromium } from '../support/chromium.js'
import { LiveUser } from '../support/live-client.js'
import { startMesh, startTestNode, type TestNode } from '../support/nodes.js'

const PAGE = '/examples/chat'
const ROOT = join(import.meta.dirname, '..', '..')

describe('the example page', () => {
  let nodes: TestNode[]
  let browser: Browser
  /** What a page said that it must not say. */
  let complaints: string[] = []

  before(async function () {
    this.timeout(120_000)
    if (CHROMIUM_PROGRAM === undefined) this.skip()
    execFileSync(process.execPath, [join(ROOT, 'scripts', 'bundle-examples.js')], { stdio: 'ignore' })
    ;[nodes, browser] = await Promise.all([
      startMesh(['page a', 'page b'], { environment: { EXAMPLES: 'on' } }),
      startChromium()
    ])
  })
  after(async () => {
    await browser?.close()
    await Promise.all((nodes ?? []).map(node => node.remove()))
  })
  afterEach(() => {
    expect(complaints).to.deep.equal([])
  })

  /** A user of his own. */
  async function open(node: TestNode): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 900, height: 700 } })
    const page = await context.newPage()
    complaints = []
    page.on('pageerror', error => complaints.push(String(error)))
    page.on('console', message => {
      if (message.type() === 'error') complaints.push(message.text())
    })
    page.on('request', request => {
      if (!request.url().startsWith(`${node.url}/`) && !request.url().startsWith('data:')) {
        complaints.push(`asked ${request.url()}`)
      }
    })
    await page.goto(node.url + PAGE)
    await page.getByText(`connected to ${node.domain}`).waitFor()
    return page
  }
  const keyOf = (page: Page) => page.getByLabel('You').inputValue()
  async function say(page: Page, to: string, text: string): Promise<void> {
    await page.getByLabel('To').fill(to)
    await page.getByLabel('Message').fill(text)
    await page.getByRole('button', { name: 'Send' }).click()
  }
  const line = (page: Page, text: string) => page.getByRole('listitem').filter({ hasText: text })

  it('chats live between two nodes, and shows what others write as text', async function () {
    this.timeout(120_000)
    const [alice, bob] = [await open(nodes[0]!), await open(nodes[1]!)]
    await say(alice, await keyOf(bob), 'Hello <img src=x onerror=alert(1)> Bob')
    await line(bob, 'Hello <img src=x onerror=alert(1)> Bob').waitFor()
    // Whoever wrote first is answered.
    expect(await bob.getByLabel('To').inputValue()).to.equal(await keyOf(alice))
    for (const page of [bob, alice, bob]) {
      const other = page === bob ? alice : bob
      const said = await line(other, 'ok').count()
      await say(page, await keyOf(other), 'ok')
      await line(other, 'ok').nth(said).waitFor()
    }
    if (process.env.TEST_SCREENSHOTS !== undefined) {
      await alice.screenshot({ path: join(process.env.TEST_SCREENSHOTS, 'alice.png') })
      await bob.screenshot({ path: join(process.env.TEST_SCREENSHOTS, 'bob.png') })
    }
    await Promise.all([alice, bob].map(page => page.context().close()))
  })

  it('keeps its key, and shows what came while it was closed', async function () {
    this.timeout(120_000)
    const bob = await open(nodes[1]!)
    const key = await keyOf(bob)
    await bob.goto('about:blank')
    const alice = new LiveUser('writer to a page', nodes[0]!.url)
    const message = { text: 'while you were away' }
    await alice.client.sendLiveMessage({
      recipient: key,
      messageBox: 'chat',
      body: message,
      messageId: 'away'
    })
    await alice.close()
    await bob.goto(nodes[1]!.url + PAGE)
    await line(bob, 'while you were away').waitFor()
    expect(await keyOf(bob)).to.equal(key)
    await bob.context().close()
  })

  it('says what is wrong with a key', async () => {
    const page = await open(nodes[0]!)
    await say(page, 'nobody', 'hello')
    expect(await page.locator('#to:invalid').count()).to.equal(1)
    expect(await page.getByRole('listitem').count()).to.equal(0)
    await page.context().close()
  })

  it('comes with a policy that allows this node alone', async () => {
    for (const path of [PAGE, `${PAGE}/main.js`, `${PAGE}/style.css`]) {
      const { status, headers } = await fetch(nodes[0]!.url + path)
      expect(status).to.equal(200)
      const policy = headers.get('content-security-policy')
      expect(policy).to.contain("default-src 'none'").and.to.contain("script-src 'self'")
      expect(policy).to.not.contain('unsafe').and.to.not.contain('*')
    }
  })
})

describe('the example page, switched off', () => {
  it('is not there', async () => {
    const node = await startTestNode('no page')
    try {
      expect((await fetch(node.url + PAGE)).status).to.equal(404)
    } finally {
      await node.remove()
    }
  })
})
