// A chat between two nodes in two terminals, with the stock client.
//
//   npm run chat -- <your name> <whom to write to> <URL of your node> [--keys <folder>]
//
// A name stands for a key on this machine, made when it is first used; whoever is elsewhere is named by his identity key.
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { PrivateKey } from '@bsv/sdk'
import { Conversation } from '../conversation.js'

const USAGE =
  'npm run chat -- <your name> <name or identity key of the other> <URL of your node> [--keys <folder>]'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { keys: { type: 'string', default: 'chat-keys' } }
})
const [name, other, node] = positionals
if (name === undefined || other === undefined || node === undefined || !URL.canParse(node)) {
  console.error(`Usage: ${USAGE}`)
  process.exit(1)
}

const key = keyOf(name)
const otherKey = /^0[23][0-9a-f]{64}$/.test(other) ? other : keyOf(other).toPublicKey().toString()
const chat = new Conversation(key, node.replace(/\/+$/, ''), ({ sender, text }) => {
  console.log(`${sender === otherKey ? other : sender.slice(0, 12)}: ${printable(text)}`)
})
await chat.open()
console.log(`You are ${chat.identityKey}. Write a line; end with Ctrl+D.`)

for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() !== '') await chat.send(otherKey, line)
}
await chat.close()

function keyOf(owner: string): PrivateKey {
  if (!/^[\w-]{1,64}$/.test(owner)) throw new Error('A name consists of letters, digits, _ and -.')
  const file = join(values.keys, owner)
  try {
    return PrivateKey.fromHex(readFileSync(file, 'utf8'))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
  mkdirSync(values.keys, { recursive: true, mode: 0o700 })
  // Two terminals may make it at once: the first one counts, and nobody reads half of it.
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, PrivateKey.fromRandom().toHex(), { mode: 0o600 })
  try {
    linkSync(draft, file)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    rmSync(draft)
  }
  return PrivateKey.fromHex(readFileSync(file, 'utf8'))
}

/** What others write must not steer this terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, ' ')
}
