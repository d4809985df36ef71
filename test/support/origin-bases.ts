import type { Origin } from '../../federation/origin/proof.js'
import type { SignedMessageFormat } from '../../src/names.js'
import { type Recipe, sealed } from './origin-messages.js'
import type { Members } from './origin-requests.js'

export const FORMATS: readonly SignedMessageFormat[] = ['brc104', 'brc103', 'authrite']

/** A genuine message of one kind, from which others are made. */
export interface Base {
  readonly name: string
  readonly origin: Origin
  readonly format: SignedMessageFormat
  readonly recipe: Recipe
}

/** One of each proof in each format. */
export const BASES: readonly Base[] = FORMATS.flatMap(format =>
  (['signature', 'home-host', 'sealed'] as const).map(origin => {
    const name = `${origin}-${format}`
    return { name, origin, format, recipe: { label: name, format, ...proofOf(origin, name) } }
  })
)

export function baseOf(origin: Origin, format: SignedMessageFormat = 'brc104'): Base {
  return BASES.find(base => base.origin === origin && base.format === format)!
}

export function proofOf(origin: Origin, label: string): Recipe {
  if (origin === 'signature') return { signed: true }
  if (origin === 'home-host') return { attested: true }
  return sealed(label)
}

/** Asks for some of the recipients. */
export function asking(recipients: readonly unknown[]): (body: Members) => Members {
  return body => ({ ...body, recipients })
}

export function without(...names: readonly string[]): (body: Members) => Members {
  return body => Object.fromEntries(Object.entries(body).filter(([name]) => !names.includes(name)))
}

/** Replaces members of the body. */
export function set(members: Members): (body: Members) => Members {
  return body => ({ ...body, ...members })
}

/** Replaces members of a member of the body. */
export function setIn(name: string, members: Members): (body: Members) => Members {
  return body => ({ ...body, [name]: { ...(body[name] as Members), ...members } })
}
