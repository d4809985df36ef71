import { expect } from 'chai'
import { HostTurns } from '../../federation/push/host-turns.js'

describe('the turns of push services', () => {
  const names = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}${i}`)
  const begun = (turns: HostTurns, hosts: readonly string[]) => hosts.filter(host => turns.begin(host)).length

  it('are eight for services that nobody knows, however many there are', () => {
    const turns = new HostTurns([])
    expect(begun(turns, names('slow', 100))).to.equal(8)
    turns.end('slow0')
    expect(begun(turns, ['slow9', 'slow10'])).to.equal(1)
  })

  it('are not taken from services that work', () => {
    const turns = new HostTurns(['trusted'])
    for (const host of names('good', 40)) turns.worked(host)
    expect(begun(turns, names('slow', 100))).to.equal(8)
    expect(turns.begin('trusted')).to.equal(true)
    expect(begun(turns, names('good', 40))).to.equal(23)
    turns.end('trusted')
    expect(begun(turns, ['good30', 'good31'])).to.equal(1)
  })

  it('are one for each', () => {
    const turns = new HostTurns([])
    expect(turns.begin('a')).to.equal(true)
    expect(turns.begin('a')).to.equal(false)
  })

  it('go back to those of the others after a failure', () => {
    const turns = new HostTurns([])
    turns.worked('a')
    turns.failed('a')
    begun(turns, names('slow', 8))
    expect(turns.begin('a')).to.equal(false)
  })

  it('of the services that worked are remembered for a thousand', () => {
    const turns = new HostTurns([])
    for (const host of names('good', 1_001)) turns.worked(host)
    begun(turns, names('slow', 8))
    expect(turns.begin('good0')).to.equal(false)
    expect(turns.begin('good1')).to.equal(true)
  })
})
