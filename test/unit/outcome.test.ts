import { expect } from 'chai'
import { OutboundError } from '../../federation/channel/outbound-error.js'
import { PeerError } from '../../federation/channel/peer-error.js'
import type { Meaning } from '../../federation/delivery/meanings.js'
import { type Attempt, judgeAnswer, judgeFailure } from '../../federation/delivery/outcome.js'
import { blamesMessage, hostWait, skipsLane, waitAfter } from '../../federation/delivery/retry-policy.js'

const RECIPIENT = `02${'11'.repeat(32)}`

function answer(status: number, body: unknown, headers: Record<string, string> = {}): Attempt {
  return judgeAnswer({ status, headers, json: () => body })
}

function outcomeOf(attempt: Attempt) {
  if (attempt.host !== 'answered') throw new Error(`the host is ${attempt.host}`)
  return attempt.outcomeOf(RECIPIENT)
}

const result = (members: object) => ({ status: 'success', results: [{ recipient: RECIPIENT, ...members }] })
const unsigned = (status: number) =>
  new PeerError('unauthenticated-answer', 'x', {
    answer: { status, headers: { 'retry-after': '11' }, body: Buffer.alloc(0) }
  })
const error = (code: string) => ({ status: 'error', code })

describe('what an answer means', () => {
  it('is delivered where the host says so, for each recipient', () => {
    expect(outcomeOf(answer(200, result({ status: 'success' })))).to.include({ state: 'delivered' })
    expect(outcomeOf(answer(200, { status: 'success' }))).to.include({ state: 'delivered' })
  })

  it('is deferred where the host says nothing of a recipient', () => {
    expect(outcomeOf(answer(200, { status: 'success', results: [] }))).to.include({ state: 'deferred' })
  })

  /** In the words of the table in docs/delivery.md. */
  function meaningOf(attempt: Attempt): Meaning {
    if (attempt.host === 'impostor') return 'not that host'
    if (attempt.host === 'failing') return attempt.suspect ? 'host or message' : 'host fails'
    const outcome = attempt.outcomeOf(RECIPIENT)
    if (outcome.state !== 'deferred') return outcome.state
    return outcome.waits === 'lane' ? 'lane waits' : 'message waits'
  }

  const statuses: [number, Meaning][] = [
    [202, 'host fails'],
    [400, 'refused'],
    [401, 'host fails'],
    [402, 'refused'],
    [403, 'refused'],
    [404, 'host fails'],
    [405, 'host fails'],
    [408, 'message waits'],
    [409, 'refused'],
    [410, 'refused'],
    [413, 'refused'],
    [418, 'refused'],
    [422, 'refused'],
    [425, 'lane waits'],
    [429, 'host fails'],
    [500, 'host or message'],
    [502, 'host or message'],
    [503, 'host fails'],
    [507, 'lane waits']
  ]
  for (const [status, meaning] of statuses) {
    it(`at ${status} of the whole call: ${meaning}`, () => {
      const attempt = answer(status, error('ERR_X'), { 'retry-after': '9' })
      expect(meaningOf(attempt)).to.equal(meaning)
      if (attempt.host === 'failing') expect(attempt).to.include({ answer: 'ERR_X', retryAfter: 9 })
    })
  }

  const results: [number, Meaning][] = [
    ...[400, 401, 402, 403, 404, 409, 410, 413, 422].map((s): [number, Meaning] => [s, 'refused']),
    [408, 'message waits'],
    [425, 'lane waits'],
    [429, 'lane waits'],
    [500, 'message waits'],
    [503, 'lane waits'],
    [507, 'lane waits'],
    [99, 'refused']
  ]
  for (const [httpStatus, meaning] of results) {
    it(`at ${httpStatus} in the result of a recipient: ${meaning}`, () => {
      const attempt = answer(200, result({ status: 'error', code: 'ERR_X', httpStatus, retryAfter: 7 }))
      expect(meaningOf(attempt)).to.equal(meaning)
      const outcome = outcomeOf(attempt)
      expect(outcome.answer).to.equal('ERR_X')
      if (outcome.state === 'deferred') expect(outcome.retryAfter).to.equal(7)
    })
  }

  it('is a failure of the host when what it says is not this protocol', () => {
    for (const body of ['<html>', [], {}, { status: 'error' }]) {
      expect(meaningOf(answer(200, body))).to.equal('host fails')
    }
  })

  const failures: [OutboundError | PeerError, Meaning][] = [
    [new OutboundError('connect', 'before-sent', 'x'), 'host fails'],
    [new OutboundError('dns', 'before-sent', 'x'), 'host fails'],
    [new OutboundError('tls', 'before-sent', 'x'), 'host fails'],
    [new OutboundError('refused-address', 'before-sent', 'x'), 'host fails'],
    [new OutboundError('timeout-before-headers', 'before-sent', 'x'), 'host fails'],
    [new OutboundError('timeout-before-headers', 'after-sent', 'x'), 'host or message'],
    [new OutboundError('timeout', 'after-sent', 'x'), 'host or message'],
    [new OutboundError('reset', 'before-sent', 'x'), 'host fails'],
    [new OutboundError('reset', 'after-sent', 'x'), 'host or message'],
    [new OutboundError('protocol', 'after-sent', 'x'), 'host or message'],
    [new OutboundError('too-large', 'after-sent', 'x'), 'host or message'],
    [new OutboundError('redirect', 'after-sent', 'x'), 'host fails'],
    [new PeerError('handshake-failed', 'x', {}), 'host fails'],
    [new PeerError('not-json', 'x', {}), 'host or message'],
    [new PeerError('wrong-identity', 'x', {}), 'not that host'],
    [new PeerError('other-key-known', 'x', {}), 'not that host'],
    ...([401, 429, 502, 503, 504] as const).map((s): [PeerError, Meaning] => [unsigned(s), 'host fails']),
    ...([200, 400, 404, 413, 500] as const).map((s): [PeerError, Meaning] => [unsigned(s), 'host or message'])
  ]
  for (const [failure, meaning] of failures) {
    const kind = failure.kind
    const detail = failure instanceof PeerError ? failure.answer?.status : failure.phase
    it(`at ${kind} ${detail ?? ''}: ${meaning}`, () => {
      expect(meaningOf(judgeFailure(failure))).to.equal(meaning)
    })
  }

  it('says how long an unsigned answer wants to be left alone', () => {
    expect(judgeFailure(unsigned(503))).to.include({
      retryAfter: 11,
      answer: 'unauthenticated-answer: HTTP 503'
    })
  })

  it('takes no wait longer than an hour from a host', () => {
    expect(answer(503, {}, { 'retry-after': '999999999' })).to.include({ retryAfter: 3600 })
    expect(answer(503, {}, { 'retry-after': 'Wed, 21 Oct 2099 07:28:00 GMT' })).to.include({
      retryAfter: undefined
    })
  })

  it('shows nothing of a host but a code', () => {
    expect(outcomeOf(answer(403, error('<script>')))).to.include({ answer: 'HTTP 403' })
  })

  it('does not swallow an error of our own', () => {
    expect(() => judgeFailure(new TypeError('bug'))).to.throw(TypeError)
  })
})

describe('the wait after failures', () => {
  it('doubles from 2 s to an hour, with full jitter, and is never nothing', () => {
    expect(waitAfter(1, undefined, 1)).to.equal(2_000)
    expect(waitAfter(2, undefined, 1)).to.equal(4_000)
    expect(waitAfter(11, undefined, 1)).to.equal(2_048_000)
    expect(waitAfter(12, undefined, 1)).to.equal(3_600_000)
    expect(waitAfter(100_000, undefined, 1)).to.equal(3_600_000)
    expect(waitAfter(1, undefined, 0)).to.equal(200)
  })

  it('is at least what the host asked for', () => {
    expect(waitAfter(1, 30, 0.5)).to.equal(30_000)
    expect(waitAfter(12, 1, 1)).to.equal(3_600_000)
  })

  it('is a minute at most where a message may be to blame', () => {
    expect(hostWait(12, undefined, 1, false)).to.equal(3_600_000)
    expect(hostWait(12, undefined, 1, true)).to.equal(60_000)
    expect(hostWait(1, undefined, 1, true)).to.equal(2_000)
  })
})

describe('a message under suspicion', () => {
  const first = { setbacks: 1, failing: false, skipped: false, answeredMeanwhile: false }

  it('is not to blame at first: its host may be', () => {
    expect(blamesMessage(first)).to.equal(false)
    expect(blamesMessage({ ...first, setbacks: 2, failing: true })).to.equal(false)
  })

  it('is to blame where its host answers others, and at the third time', () => {
    expect(blamesMessage({ ...first, answeredMeanwhile: true })).to.equal(true)
    expect(blamesMessage({ ...first, setbacks: 2 })).to.equal(true)
    expect(blamesMessage({ ...first, setbacks: 3, failing: true })).to.equal(true)
    expect(blamesMessage({ ...first, skipped: true, failing: true })).to.equal(true)
  })

  it('holds its lane for three tries within a minute', () => {
    expect(skipsLane(1, 2_000)).to.equal(false)
    expect(skipsLane(2, 4_000)).to.equal(false)
    expect(skipsLane(3, 8_000)).to.equal(true)
    expect(skipsLane(1, 60_001)).to.equal(true)
    const longest = waitAfter(1, undefined, 1) + waitAfter(2, undefined, 1)
    expect(longest).to.be.below(60_000)
  })
})
