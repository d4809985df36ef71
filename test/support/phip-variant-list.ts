import type { TokenCheck } from '../../federation/phip/verify-token.js'
import type { Network } from '../../src/config.js'
import { BOXES, type Recipe, tokenScript } from './phip-token-builder.js'

/** A script that must be refused, and the check that refuses it. */
export interface InvalidVector<Check extends string> {
  readonly id: string
  readonly what: string
  readonly network: Network
  /** Hex. */
  readonly script: string
  readonly check: Check
}

/** The two tokens that variants start from: no expression and key first; an expression and key last. */
export const BASES: ReadonlyArray<readonly [name: string, recipe: Recipe]> = [
  ['all', {}],
  ['boxes', { box: BOXES, position: 'after' }]
]

/** Collects variants of tokens. */
export class VariantList {
  readonly vectors: InvalidVector<TokenCheck>[] = []

  /** One variant; what the recipe does not say is as in a valid token. */
  add(check: TokenCheck, name: string, what: string, recipe: Recipe, network: Network = 'main'): void {
    const script = tokenScript(recipe).toString('hex')
    this.vectors.push({ id: `${check}/${name}`, what, network, script, check })
  }

  /** The same change on both bases. */
  addToBoth(check: TokenCheck, name: string, what: string, recipe: Recipe): void {
    for (const [base, start] of BASES) this.add(check, `${name}/${base}`, what, { ...start, ...recipe })
  }
}
