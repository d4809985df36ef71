import { expect } from 'chai'
import { HostWindow } from '../../federation/delivery/host-window.js'

function answers(window: HostWindow, count: number, milliseconds: number): void {
  for (let i = 0; i < count; i++) window.answered(milliseconds)
}

describe('the calls under way to one host', () => {
  it('are few at first, more with every answer, and never more than so many', () => {
    const window = new HostWindow()
    const first = window.size
    expect(first).to.be.within(1, 8)
    answers(window, 3, 10)
    expect(window.size).to.equal(first + 3)
    answers(window, 10_000, 10)
    expect(window.size).to.be.within(16, 32)
  })

  it('are halved once for all that were under way, and grow slowly from then on', () => {
    const window = new HostWindow()
    answers(window, 100, 10)
    const most = window.size
    for (let i = 0; i < most; i++) window.congested()
    expect(window.size).to.equal(most / 2)
    answers(window, most / 2, 10)
    expect(window.size).to.be.within(most / 2, most / 2 + 1)
  })

  it('become fewer where answers come late, down to one', () => {
    const window = new HostWindow()
    answers(window, 100, 10)
    answers(window, 1_000, 5_000)
    expect(window.size).to.equal(1)
    answers(window, 1, 10)
    expect(window.size).to.equal(2)
  })
})
