import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ensureDataDirectory } from '../data-directory.js'
import { onSignals } from '../lifecycle.js'
import { type Command, CommandError, parseArguments, type Surroundings, UsageError } from './command.js'
import { MeshNode } from './mesh-node.js'
import { MeshStory, type Resident } from './mesh-story.js'
import type { Output } from './output.js'
import { createUser, keyFileOf, loadUser } from './user-key.js'

const OPTIONS = {
  port: {
    type: 'string',
    value: '<n>',
    help: 'first of three ports (default: 8080); metrics are 1000 above'
  },
  data: { type: 'string', value: '<folder>', help: 'where the nodes keep their data (default: ./mesh-data)' },
  once: { type: 'boolean', help: 'end after the demonstration' }
} as const

const PEOPLE = ['alice', 'bob', 'carol'] as const
const NODES = ['A', 'B', 'C'] as const

export const mesh: Command = {
  usage: 'mesh',
  description: `Runs three nodes on this machine, each with its own database and data folder, and shows a
message of alice at node A arrive at bob's node B and at carol's node C, also if that was down
when it was sent. Then the nodes keep running, to be played with, until ctrl-c.
The keys of alice, bob and carol are those that --as finds, made if they are not there.`,
  options: OPTIONS,
  async run(args, surroundings) {
    const { output } = surroundings
    const { values } = parseArguments(OPTIONS, args)
    const residents = settle(parsePort(values.port), resolve(values.data ?? 'mesh-data'), surroundings)
    const interrupted = new Promise<'interrupted'>(done => onSignals(() => done('interrupted')))
    const story = new MeshStory(residents, output)
    try {
      output.say('Three nodes on this machine. The first start takes a while: three databases are made.')
      if ((await Promise.race([story.tell(), interrupted])) === 'interrupted') {
        throw new CommandError('ERR_INTERRUPTED', 'Interrupted.')
      }
      output.event({ event: 'delivered' }, 'Nothing lost.')
      if (!values.once) {
        invite(output, residents)
        await interrupted
      }
    } finally {
      story.close()
      output.say('Stopping …')
      await Promise.all(residents.map(({ node }) => node.stop()))
    }
  }
}

function settle(port: number, folder: string, { environment }: Surroundings): [Resident, Resident, Resident] {
  ensureDataDirectory(folder)
  const urls = NODES.map((_, index) => `http://localhost:${port + index}`)
  const resident = (index: 0 | 1 | 2): Resident => {
    const name = PEOPLE[index]
    const keyFile = keyFileOf({ as: name }, environment)
    const node = new MeshNode({
      name: NODES[index],
      port: port + index,
      folder: join(folder, NODES[index]),
      peers: urls.filter((_, other) => other !== index),
      environment
    })
    return {
      name,
      user: existsSync(keyFile) ? loadUser({ as: name }, environment) : createUser(keyFile),
      node
    }
  }
  return [resident(0), resident(1), resident(2)]
}

function invite(output: Output, [alice, bob, carol]: readonly [Resident, Resident, Resident]): void {
  output.say(`
The nodes run until ctrl-c. Try, in another terminal:

  npx peerserv watch --as bob --node ${bob.node.port}
  npx peerserv send --as carol --to bob --body "Hello bob" --node ${carol.node.port}
  npx peerserv list --as alice --node ${alice.node.port}
  npx peerserv lookup carol --node ${alice.node.port}
`)
}

function parsePort(text = '8080'): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port > 0 && port + NODES.length - 1 <= 65_535) return port
  throw new UsageError(`'${text}' is not the first of three ports`)
}
