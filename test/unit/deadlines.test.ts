import { once } from 'node:events'
import { expect } from 'chai'
import { Deadlines } from '../../src/deadlines.js'

describe('deadlines', () => {
  it('pass in their order, but for those that were ended', async () => {
    const deadlines = new Deadlines(20)
    const passed: string[] = []
    const end = new EventTarget()
    const done = once(end, 'last')
    const ended = (): void => void passed.push('ended')
    deadlines.begin(() => passed.push('first'))
    deadlines.begin(ended)
    deadlines.begin(() => passed.push('second'))
    deadlines.end(ended)
    const begin = performance.now()
    deadlines.begin(() => {
      passed.push('last')
      end.dispatchEvent(new Event('last'))
    })
    // The timers of deadlines keep no process alive, and so not this one either.
    const alive = setInterval(() => {}, 1_000)
    await done
    clearInterval(alive)
    expect(performance.now() - begin).to.be.at.least(20)
    expect(passed).to.deep.equal(['first', 'second', 'last'])
  })

  it('may be begun again from within, and after all have passed', async () => {
    const deadlines = new Deadlines(5)
    const alive = setInterval(() => {}, 1_000)
    for (let round = 0; round < 2; round++) {
      let times = 0
      await new Promise<void>(resolve => {
        const again = (): void => {
          if (++times === 3) resolve()
          else deadlines.begin(again)
        }
        deadlines.begin(again)
      })
      expect(times).to.equal(3)
      // Long enough for the timer to find nothing and stop.
      await new Promise(resolve => setTimeout(resolve, 10))
    }
    clearInterval(alive)
  })
})
