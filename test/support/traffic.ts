import type { SentMessage } from './oracle.js'
import type { SeededRandom } from './random.js'

/** By what other hosts know who sent it. */
export type Proof = 'signature' | 'home-host' | 'sealed'

export interface Party {
  readonly identityKey: string
}

/** What one request of a sender says: one message for each of its recipients. */
export interface PlannedRequest {
  readonly messages: readonly SentMessage[]
  readonly proof: Proof
  /** After so many failures its sender leaves it at that. */
  readonly tries: number
}

export interface Sender extends Party {
  /** Name of the host he sends through. */
  readonly through: string
}

export interface TrafficOptions {
  /** Begins every id and box, so that runs on one mesh do not meet. */
  readonly run: string
  readonly senders: readonly Sender[]
  readonly recipients: readonly Party[]
  /** Requests of all senders together. */
  readonly requests: number
}

const BOXES = ['inbox', 'payments', 'a b']
const WORDS = ['hello', 'grüezi', '你好', '𝄞', '"quoted"', 'new\nline', '\\', '{}', ' ']

/** All boxes that a run uses. */
export function boxesOf(run: string): string[] {
  return BOXES.map(box => `${run} ${box}`)
}

/** Who sends what to whom, in which order: the same for the same random numbers. */
export function planTraffic(random: SeededRandom, options: TrafficOptions): PlannedRequest[][] {
  const { run, senders, recipients, requests } = options
  return senders.map((sender, s) => {
    const count = Math.floor((requests + s) / senders.length)
    return Array.from({ length: count }, (_, i): PlannedRequest => {
      const proof = random.pick<Proof>(['signature', 'home-host', 'sealed'])
      const messageBox = `${run} ${random.pick(BOXES)}`
      const first = random.between(0, recipients.length - 1)
      // Most have one recipient; a sealed body is sealed for one.
      const isForTwo = proof !== 'sealed' && random.next() < 0.1
      const chosen = isForTwo ? [first, (first + 1) % recipients.length] : [first]
      const body = proof === 'sealed' ? sealed(random) : text(random, `${run} ${s} ${i}`)
      return {
        proof,
        tries: random.next() < 0.1 ? 1 : Number.POSITIVE_INFINITY,
        messages: chosen.map(r => ({
          messageId: `${run} ${s} ${i}${isForTwo ? ` for ${r}` : ''}`,
          sender: sender.identityKey,
          recipient: recipients[r]!.identityKey,
          messageBox,
          body,
          through: sender.through
        }))
      }
    })
  })
}

function sealed(random: SeededRandom): string {
  return JSON.stringify({ encryptedMessage: random.bytes(random.between(49, 300)).toString('base64') })
}

/** Never twice the same, and up to a few kilobytes. */
function text(random: SeededRandom, unique: string): string {
  const words = Array.from({ length: random.between(0, random.next() < 0.1 ? 600 : 20) }, () =>
    random.pick(WORDS)
  )
  return [unique, ...words].join(' ')
}
