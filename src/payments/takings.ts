import type { Context } from '../context.js'
import {
  claimNodePayments,
  deferNodePayment,
  nodePaymentTaken,
  type WaitingNodePayment
} from '../storage/node-payments.js'
import type { NodeWallet } from './node-wallet.js'

/** Between two looks while nothing is due, ms. */
const INTERVAL = 2_000
/** After this long a claim counts for nothing: whoever made it is gone, ms. */
const CLAIM_MILLISECONDS = 60_000
const AT_ONCE = 10
/** First wait after a failure, ms; it doubles. */
const FIRST_WAIT = 2_000
const LONGEST_WAIT = 60 * 60 * 1000
const LONGEST_REASON = 200

/**
 * Puts what this node was paid into its wallet, as long as the node runs. What has been paid stands in the database since the
 * commit of what it was paid for; a crash in between loses nothing, and a wallet takes an output twice without harm.
 */
export function startTakings(
  { database, clock, logger }: Pick<Context, 'database' | 'clock' | 'logger'>,
  wallet: NodeWallet
): { stop(): Promise<void> } {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  const take = async (payment: WaitingNodePayment): Promise<void> => {
    try {
      await wallet.take(payment)
      await nodePaymentTaken(database, payment.id)
      logger.info({ txid: payment.txid, outputIndex: payment.outputIndex }, 'took a payment')
    } catch (error) {
      const reason = error instanceof Error ? error.message : describe(error)
      const wait = Math.min(FIRST_WAIT * 2 ** Math.min(payment.attempts - 1, 20), LONGEST_WAIT)
      const { id, txid, outputIndex } = payment
      logger.warn({ txid, outputIndex, reason }, 'the wallet does not take a payment now')
      await deferNodePayment(database, id, clock.now() + wait, reason.slice(0, LONGEST_REASON))
    }
  }
  const round = async (): Promise<number> => {
    const now = clock.now()
    const payments = await claimNodePayments(database, now, now + CLAIM_MILLISECONDS, AT_ONCE)
    for (const payment of payments) {
      if (stopped) break
      await take(payment)
    }
    return payments.length
  }
  const step = (): void => {
    running = round()
      .then(count => next(count > 0 ? 0 : INTERVAL))
      .catch(error => {
        logger.warn({ err: error }, 'looking for payments to take failed')
        next(INTERVAL)
      })
  }
  const next = (milliseconds: number): void => {
    if (!stopped) timer = setTimeout(step, milliseconds)
  }
  next(0)
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    }
  }
}

/** Wallets throw objects, too. */
function describe(error: unknown): string {
  const isTold = typeof error === 'object' && error !== null && 'message' in error
  return isTold ? String(error.message) : 'no reason given'
}
