import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'chai'
import { Lifecycle } from '../../src/lifecycle.js'
import { createLogger } from '../../src/logger.js'

describe('lifecycle', () => {
  const logger = createLogger('silent')

  it('closes the last opened first, each after the one before it has closed', async () => {
    const lifecycle = new Lifecycle(logger)
    const events: string[] = []
    for (const name of ['database', 'queue', 'server']) {
      lifecycle.add(name, async () => {
        events.push(`${name} stops`)
        await new Promise(resolve => setImmediate(resolve))
        events.push(`${name} stopped`)
      })
    }
    await Promise.all([lifecycle.stop(1_000), lifecycle.stop(1_000)])
    const names = ['server', 'queue', 'database']
    expect(events).to.deep.equal(names.flatMap(name => [`${name} stops`, `${name} stopped`]))
  })

  it('goes on after one that fails and one that never ends', async () => {
    const lifecycle = new Lifecycle(logger)
    const events: string[] = []
    lifecycle.add('database', () => events.push('database'))
    lifecycle.add('broken', () => {
      throw new Error('broken')
    })
    lifecycle.add('stuck', () => new Promise(() => {}))
    const started = performance.now()
    await lifecycle.stop(0)
    expect(events).to.deep.equal(['database'])
    expect(performance.now() - started).to.be.below(2_500)
  })

  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130]
  ] as const) {
    it(`stops in order at the first ${signal} and at once at the second`, async () => {
      const child = await startProgram(0)
      child.kill(signal)
      expect(String(await once(child.stdout, 'data'))).to.equal(`stopping ${signal}\n`)
      expect(child.exitCode).to.equal(null)
      child.kill(signal)
      expect(await once(child, 'exit')).to.deep.equal([code, null])
    })
  }

  it('takes a signal that npm passes on again for one', async () => {
    const child = await startProgram(600_000)
    for (const signal of ['SIGINT', 'SIGINT', 'SIGTERM'] as const) child.kill(signal)
    expect(String(await once(child.stdout, 'data'))).to.match(/^stopping SIG(INT|TERM)\n$/)
    // Answers still, hence was not ended.
    child.stdin.write('?')
    expect(String(await once(child.stdout, 'data'))).to.equal('alive\n')
    child.kill('SIGKILL')
  })

  async function startProgram(echoMilliseconds: number) {
    const program = `
      import { onSignals } from './src/lifecycle.ts'
      onSignals(signal => console.log('stopping ' + signal), Number(process.argv[1]))
      process.stdin.on('data', () => console.log('alive'))
      console.log('ready')`
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', program, String(echoMilliseconds)],
      { stdio: ['pipe', 'pipe', 'inherit'] }
    )
    await once(child.stdout, 'data')
    return child
  }
})
