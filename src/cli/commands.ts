import type { Command } from './command.js'

export interface Entry {
  /** One line. */
  readonly summary: string
  /** Loads the command's file, so that `whoami` does not wait for a database driver. */
  readonly load: () => Promise<Command>
}

/** Every command, in the order of the help. */
export const COMMANDS: Readonly<Record<string, Entry>> = {
  start: { summary: 'run a node', load: async () => (await import('./start.js')).start },
  mesh: {
    summary: 'run three nodes on this machine and watch them deliver',
    load: async () => (await import('./mesh.js')).mesh
  },
  doctor: {
    summary: 'check the configuration and what the node needs',
    load: async () => (await import('./doctor.js')).doctor
  },
  keygen: { summary: 'make a key for a user', load: async () => (await import('./keygen.js')).keygen },
  whoami: { summary: "print a user's identity key", load: async () => (await import('./whoami.js')).whoami },
  send: { summary: 'send a message', load: async () => (await import('./send.js')).send },
  list: { summary: 'list the messages in a box', load: async () => (await import('./list.js')).list },
  ack: { summary: 'acknowledge (delete) messages', load: async () => (await import('./ack.js')).ack },
  watch: { summary: 'print messages as they come', load: async () => (await import('./watch.js')).watch },
  authorize: {
    summary: 'make a node your home host',
    load: async () => (await import('./authorize.js')).authorize
  },
  revoke: { summary: 'take that back', load: async () => (await import('./revoke.js')).revoke },
  lookup: {
    summary: 'print the hosts of a recipient',
    load: async () => (await import('./lookup.js')).lookup
  },
  deliveries: {
    summary: 'operator: what waits for other hosts; try or drop it',
    load: async () => (await import('./deliveries.js')).deliveries
  },
  hosts: {
    summary: 'operator: how other hosts do; hold or release them',
    load: async () => (await import('./hosts.js')).hosts
  },
  block: {
    summary: 'operator: serve somebody no more, or list the blocked',
    load: async () => (await import('./block.js')).block
  },
  unblock: { summary: 'operator: take that back', load: async () => (await import('./unblock.js')).unblock },
  allow: {
    summary: 'operator: serve nobody else, or list the allowed',
    load: async () => (await import('./allow.js')).allow
  },
  unallow: { summary: 'operator: take that back', load: async () => (await import('./unallow.js')).unallow }
}
