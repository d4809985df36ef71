import { readFileSync } from 'node:fs'

const file = new URL('../vectors/wire.json', import.meta.url)
const { vectors } = JSON.parse(readFileSync(file, 'utf8')) as { vectors: Vector[] }

/** One vector of test/vectors/wire.json; its members differ from id to id. */
export interface Vector {
  readonly id: string
  // biome-ignore lint/suspicious/noExplicitAny: each vector has its own shape, which its test knows
  readonly [member: string]: any
}

/** The vector with this id. */
export function vector(id: string): Vector {
  const found = vectors.find(candidate => candidate.id === id)
  if (found === undefined) throw new Error(`no vector ${id}`)
  return found
}

/** All vectors whose id begins so. */
export function vectorsFrom(prefix: string): Vector[] {
  return vectors.filter(({ id }) => id.startsWith(prefix))
}
