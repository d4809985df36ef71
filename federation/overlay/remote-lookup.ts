import { ApiError } from '../../src/errors.js'
import { type IdentityKey, identityKeyBytes } from '../../src/keys/identity-key.js'
import type { Logger } from '../../src/logger.js'
import type { Database } from '../../src/storage/database.js'
import { OutboundError } from '../channel/outbound-error.js'
import { findTokensOfRecipient } from '../storage/tokens.js'
import { OverlayAnswerError, type OverlayClient } from './overlay-client.js'
import type { AnsweredOutput, OverlayHost } from './overlay-host.js'
import { PHIP_SERVICE } from './topics.js'

export interface RemoteLookupOptions {
  readonly database: Database
  readonly client: OverlayClient
  readonly host: Pick<OverlayHost, 'submit'>
  readonly logger: Logger
  /** Base URLs. */
  readonly peers: readonly string[]
}

/** What asking around brought. */
export interface RemoteLookupReport {
  /** Peers that gave an answer, be it an empty one. With 0, nobody has said that there is no host. */
  readonly answered: number
  /** Live tokens of the recipient that this index holds now; counted up to MAX_COUNTED. */
  readonly tokens: number
}

const MAX_COUNTED = 16

/**
 * Asks the peers about a recipient of whom this index knows no host. What they answer is submitted to the own engine, so
 * only what verifies counts. (The stock resolver answers an empty list also when every host failed.)
 */
export async function lookUpRecipient(
  options: RemoteLookupOptions,
  recipient: IdentityKey
): Promise<RemoteLookupReport> {
  const answers = await Promise.all(options.peers.map(peer => askPeer(options, peer, recipient)))
  const tokens = await findTokensOfRecipient(options.database, identityKeyBytes(recipient), MAX_COUNTED)
  return { answered: answers.filter(Boolean).length, tokens: tokens.length }
}

/** @returns whether the peer gave an answer */
async function askPeer(options: RemoteLookupOptions, peer: string, recipient: IdentityKey): Promise<boolean> {
  const outputs = await askOutputs(options, peer, recipient)
  for (const { beef } of outputs ?? []) {
    try {
      await options.host.submit(beef, { peer })
    } catch (error) {
      if (!(error instanceof ApiError && error.httpStatus < 500)) throw error
      options.logger.debug({ peer, reason: error.message }, 'an answered output was refused')
    }
  }
  return outputs !== undefined
}

async function askOutputs(
  { client, logger }: RemoteLookupOptions,
  peer: string,
  recipient: IdentityKey
): Promise<AnsweredOutput[] | undefined> {
  try {
    return await client.lookup(peer, PHIP_SERVICE, { recipient })
  } catch (error) {
    if (!(error instanceof OutboundError || error instanceof OverlayAnswerError)) throw error
    logger.info({ peer, reason: error.message }, 'a peer gave no answer to a lookup')
    return undefined
  }
}
