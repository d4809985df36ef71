import { acknowledgementText, NAMES_AT_MOST } from '../../src/acknowledgement.js'
import { identityKeyFromBytes } from '../../src/keys/identity-key.js'
import type { KeyDeriver } from '../../src/keys/key-deriver.js'
import { signPortably } from '../../src/keys/portable-signature.js'
import { RULES_AT_ONCE } from '../../src/permissions/rule.js'
import type { DueStatement } from '../storage/statements.js'

/** What a host must name in its document to be told anything of a kind. */
export const ACKNOWLEDGEMENT_SYNC = 'acknowledgement-sync'
export const PERMISSION_SYNC = 'permission-sync'

/** Statements about one recipient that one call to one host carries. */
export interface StatementCall {
  readonly due: readonly [DueStatement, ...DueStatement[]]
  readonly extension: typeof ACKNOWLEDGEMENT_SYNC | typeof PERMISSION_SYNC
  readonly path: '/propagateAcknowledgement' | '/propagatePermission'
  /** Signs what is this node's own word. */
  body(keys: KeyDeriver): object
}

/**
 * This node's own words about one recipient go together, and what he has signed about his rules; acknowledgements that
 * others signed go each by itself, as their signatures stand over all that they name.
 */
export function callsFor(due: readonly DueStatement[]): StatementCall[] {
  const calls: StatementCall[] = []
  const groups = new Map<string, Group>()
  for (const statement of due) {
    const { names, signature } = statement
    if (statement.kind === 'acknowledgement' && signature !== null) {
      calls.push(acknowledgement([statement], names, signature))
      continue
    }
    const key = statement.kind + statement.host_key.toString('hex') + statement.recipient.toString('hex')
    let group = groups.get(key)
    if (group === undefined || !hasRoom(group, statement)) {
      if (group !== undefined) calls.push(callOf(group))
      group = { due: [statement], names: new Map() }
      groups.set(key, group)
    } else group.due.push(statement)
    for (const name of names) group.names.set(name.toString('hex'), name)
  }
  for (const group of groups.values()) calls.push(callOf(group))
  return calls
}

/** Of one kind, about one recipient, for one host. */
interface Group {
  readonly due: [DueStatement, ...DueStatement[]]
  /** None, where they are about rules. */
  readonly names: Map<string, Buffer>
}

function hasRoom({ due, names }: Group, statement: DueStatement): boolean {
  return statement.kind === 'permission'
    ? due.length < RULES_AT_ONCE
    : names.size + statement.names.length <= NAMES_AT_MOST
}

function callOf({ due, names }: Group): StatementCall {
  return due[0].kind === 'permission' ? permissions(due) : acknowledgement(due, [...names.values()], null)
}

function acknowledgement(
  due: StatementCall['due'],
  names: readonly Buffer[],
  signature: string | null
): StatementCall {
  const recipient = identityKeyFromBytes(due[0].recipient)
  const envelopeIds = names.map(name => name.toString('hex'))
  return {
    due,
    extension: ACKNOWLEDGEMENT_SYNC,
    path: '/propagateAcknowledgement',
    body: keys => ({
      recipient,
      envelopeIds,
      signature: signature ?? signPortably(keys, acknowledgementText(recipient, envelopeIds))
    })
  }
}

function permissions(due: StatementCall['due']): StatementCall {
  return {
    due,
    extension: PERMISSION_SYNC,
    path: '/propagatePermission',
    body: () => ({
      recipient: identityKeyFromBytes(due[0].recipient),
      permissions: due.map(({ message_box, sender, recipient_fee, set_at, signature }) => ({
        messageBox: message_box,
        sender: sender === null || sender.length === 0 ? null : identityKeyFromBytes(sender),
        recipientFee: recipient_fee,
        setAt: set_at,
        signature
      }))
    })
  }
}
