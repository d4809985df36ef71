import type { TestUser } from './client.js'
import type { FaultHost } from './fault-host.js'
import type { FaultRecipient, FaultSender } from './fault-users.js'
import type { FoundReport, Holding } from './oracle.js'

const PAGE = 500

interface Listed {
  readonly messageId: string | number
  readonly sender: string
  readonly body: string
}

/** What recipients find in these boxes at every host, also at those that are not theirs. */
export async function readBoxes(
  hosts: readonly FaultHost[],
  recipients: readonly FaultRecipient[],
  messageBoxes: readonly string[]
): Promise<Holding[]> {
  const holdings = hosts.flatMap(host =>
    recipients.map(async ({ user }): Promise<Holding> => {
      const messages = []
      for (const messageBox of messageBoxes) {
        for (const message of await readBox(user, host, messageBox)) messages.push({ ...message, messageBox })
      }
      return { host: host.name, recipient: user.identityKey, messages }
    })
  )
  return Promise.all(holdings)
}

/** What senders were told about messages whose id begins with the name of the run. */
export async function readReports(senders: readonly FaultSender[], run: string): Promise<FoundReport[]> {
  const reports = senders.map(async ({ user, host }) => {
    const found = await readBox(user, host, 'delivery_reports')
    return found.map(({ body }): FoundReport => {
      const { messageId, recipient, messageBox } = JSON.parse(body) as Omit<FoundReport, 'host' | 'sender'>
      return { host: host.name, sender: user.identityKey, messageId, recipient, messageBox }
    })
  })
  return (await Promise.all(reports))
    .flat()
    .filter(({ messageId }) => String(messageId).startsWith(`${run} `))
}

async function readBox(user: TestUser, host: FaultHost, messageBox: string): Promise<Listed[]> {
  const messages: Listed[] = []
  for (let cursor: unknown; ; ) {
    const { status, body, json } = await user.post(host.url, '/listMessages', {
      messageBox,
      cursor,
      limit: PAGE
    })
    if (status !== 200) throw new Error(`listMessages: ${status} ${body}`)
    messages.push(...(json.messages as Listed[]))
    if (json.hasMore !== true) return messages
    cursor = json.nextCursor
  }
}
