import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { startMesh, type TestNode } from '../support/nodes.js'
import { ROOT } from './sources.js'

const run = promisify(execFile)

describe('docs/examples', () => {
  let nodes: TestNode[]
  let urls: string[]

  before(async () => {
    nodes = await startMesh(['docs here', 'docs there'])
    urls = nodes.map(({ url }) => url)
  })
  after(() => Promise.all(nodes.map(node => node.remove())))

  it('api.mjs runs against two nodes', async () => {
    const { stdout } = await run(process.execPath, [join(ROOT, 'docs/examples/api.mjs'), ...urls])
    expect(stdout).to.include('"origin":"home-host"').and.to.include('"origin":"signature"')
    expect(stdout).to.include('the sender signed it → true')
    expect(stdout).to.include('"state":"delivered"')
    expect(stdout).to.include('ERR_DUPLICATE_MESSAGE')
  })

  it('forward.mjs hands a message on, and only with a proof', async () => {
    const { stdout } = await run(process.execPath, [join(ROOT, 'docs/examples/forward.mjs'), urls[1]!])
    expect(stdout).to.match(/with a proof of origin → .*"status":"success"/)
    expect(stdout).to.match(/without → .*ERR_ORIGIN_UNPROVEN/)
    expect(stdout).to.match(/bob reads → .*"origin":"home-host"/)
  })
})
