import { text } from 'node:stream/consumers'
import { asUser, CLIENT_OPTIONS } from './as-user.js'
import { type Command, parseArguments, required } from './command.js'
import { sendMessage } from './messages.js'
import { shortKey } from './output.js'
import { sealBody } from './sealed-body.js'
import { resolveIdentityKey } from './user-key.js'

const OPTIONS = {
  to: { type: 'string', value: '<recipient>', help: 'an identity key, or the name of a key kept here' },
  body: { type: 'string', value: '<text>', help: "what to say; '-' reads standard input" },
  box: { type: 'string', value: '<name>', help: "the recipient's message box (default: inbox)" },
  encrypt: { type: 'boolean', help: 'so that only the recipient can read it' },
  'no-sign': { type: 'boolean', help: 'without your signature, which lets any host hand it on' },
  ...CLIENT_OPTIONS
} as const

const DELIVERIES: Readonly<Record<string, string>> = {
  local: 'it is in the box at this node',
  forwarding: "it is on its way to the recipient's host",
  parked: 'it waits here until the recipient lists it, or a host of his appears'
}

export const send: Command = {
  usage: 'send --to <recipient> --body <text>',
  description: `Sends a message through a node. It carries your portable signature, so that hosts that do not
know this node can tell that it is yours.`,
  options: OPTIONS,
  async run(args, surroundings) {
    const { output, environment } = surroundings
    const { values } = parseArguments(OPTIONS, args)
    const recipient = resolveIdentityKey(required(values.to, '--to'), environment)
    const given = required(values.body, '--body')
    const messageBox = values.box ?? 'inbox'
    await asUser(values, surroundings, async (client, user) => {
      const plaintext = given === '-' ? await text(process.stdin) : given
      const body = values.encrypt ? await sealBody(user, recipient, plaintext) : plaintext
      const isSigned = values['no-sign'] !== true
      const { messageId, delivery } = await sendMessage(client, { recipient, messageBox, body, isSigned })
      output.event(
        { status: 'success', messageId, recipient, messageBox, delivery },
        `Sent to ${shortKey(recipient)}: ${DELIVERIES[delivery] ?? delivery}. Id ${messageId}.`
      )
    })
  }
}
