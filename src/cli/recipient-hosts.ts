import { formatRoutingText } from '../../federation/phip/routing-authorization.js'
import { verifyTokenScript } from '../../federation/phip/verify-token.js'
import { verifyWithdrawalScript } from '../../federation/phip/withdrawal.js'
import type { IdentityKey } from '../keys/identity-key.js'
import { isObject } from '../message.js'
import { parseBeef } from '../transactions/beef.js'
import { CommandError } from './command.js'
import { curve } from './curve.js'
import type { NodeClient } from './node-client.js'

/** One valid token: a host that takes messages for a recipient. */
export interface Host {
  readonly domain: string
  readonly operatorKey: IdentityKey
  /** undefined: every box. */
  readonly boxExpression: string | undefined
  /** `<txid>.<output index>` */
  readonly outpoint: string
  /** Of the recipient's authorization; what a withdrawal names. */
  readonly text: string
}

export interface FoundHosts {
  readonly hosts: readonly Host[]
  /** Outputs of the answer that are no valid token or withdrawal of this recipient. */
  readonly rejected: number
}

/**
 * The hosts that a node's `ls_phip` names for a recipient, each token verified here: its word is not taken. Whether an
 * output is still unspent only the node can say.
 *
 * @throws CommandError as NodeClient, and if the answer is none of a lookup service
 */
export async function findHosts(client: NodeClient, recipient: IdentityKey): Promise<FoundHosts> {
  const { network } = await client.document()
  const answer = await client.postPublicly('/lookup', { service: 'ls_phip', query: { recipient } })
  if (answer.type !== 'output-list' || !Array.isArray(answer.outputs)) {
    throw new CommandError('ERR_NO_NODE', `The answer of ${client.url} is not that of a lookup service.`)
  }
  const hosts: Host[] = []
  const withdrawn = new Set<string>()
  let rejected = 0
  for (const output of answer.outputs) {
    const found = outputOf(output)
    const token = found && verifyTokenScript(curve, found.script, network)
    const withdrawal = found && verifyWithdrawalScript(curve, found.script, network)
    if (found !== undefined && token?.ok && token.token.recipient === recipient) {
      const { domain, operatorKey, boxExpression } = token.token
      const text = formatRoutingText({ hostKey: operatorKey, domain, boxExpression })
      hosts.push({ domain, operatorKey, boxExpression, outpoint: found.outpoint, text })
    } else if (withdrawal?.ok && withdrawal.withdrawal.recipient === recipient) {
      withdrawn.add(withdrawal.withdrawal.text)
    } else {
      rejected++
    }
  }
  return { hosts: hosts.filter(({ text }) => !withdrawn.has(text)), rejected }
}

function outputOf(output: unknown): { readonly script: Uint8Array; readonly outpoint: string } | undefined {
  if (!isObject(output) || !Array.isArray(output.beef)) return undefined
  const index = Number(output.outputIndex)
  try {
    const { subject } = parseBeef(Uint8Array.from(output.beef))
    const script = subject.outputs[index]?.lockingScript
    return script === undefined ? undefined : { script, outpoint: `${subject.txid}.${index}` }
  } catch {
    // Whatever a stranger put there is not a transaction.
    return undefined
  }
}
