import { CaseList, type OriginCase } from './origin-cases.js'
import { genuineMessages } from './origin-genuine.js'
import { unusualMessages } from './origin-genuine-unusual.js'
import { contentVariants } from './origin-variants-content.js'
import { forgedVariants } from './origin-variants-forged.js'
import { formVariants } from './origin-variants-form.js'
import { homeHostVariants } from './origin-variants-home-host.js'
import { linkageVariants } from './origin-variants-linkage.js'
import { requestVariants } from './origin-variants-request.js'
import { sealedVariants } from './origin-variants-sealed.js'
import { signatureVariants } from './origin-variants-signature.js'

/** What test/vectors/origin-proofs.json holds. */
export interface OriginVectors {
  readonly description: readonly string[]
  readonly cases: readonly OriginCase[]
}

const DESCRIPTION = [
  'Bodies of POST /propagateMessage (BRC-34 with proofs of origin): those a host must take, with what it reads out of them, and those it must refuse, with the check that fails.',
  'now: the clock of the host that judges, ms. Messages live 30 days there; it takes at most 100 recipients, and all of them are at home there.',
  'expect of a message that is taken: origin, box, body as text, and of each recipient the message id and the time that the life of the message is counted from (ms), or why he is refused.',
  'expect of one that is refused: HTTP status and code; with ERR_ORIGIN_UNPROVEN the first failing check, in the order key-linkage, signed-message, recipients, then for the first recipient sender-authorization-period, sender-authorization-signature, attestation-time, attestation-signature, or signature or no-proof where nothing is attested.',
  'values: originalSender + keyLinkage · G; the envelope id, SHA-256 of JSON.stringify([sender, format, keyID]) followed by the signed bytes; the texts under the signatures of authorization and attestation; of each recipient the text that the sender signed, and the name of the message across hosts.',
  'Private keys are one byte 32 times: sender 31, other sender 32, recipients 33, 34 and 35, home host 36, other host 37, a stranger 38. Signatures are deterministic (RFC 6979).'
]

/** Every case, the same each time. */
export function originVectors(): OriginVectors {
  const list = new CaseList()
  genuineMessages(list)
  unusualMessages(list)
  formVariants(list)
  linkageVariants(list)
  requestVariants(list)
  contentVariants(list)
  forgedVariants(list)
  homeHostVariants(list)
  signatureVariants(list)
  sealedVariants(list)
  return { description: DESCRIPTION, cases: distinct(list.cases) }
}

/** The first of each body: two ways of breaking one may come to the same. */
function distinct(cases: readonly OriginCase[]): OriginCase[] {
  const seen = new Set<string>()
  return cases.filter(({ body }) => {
    const text = JSON.stringify(body)
    return !seen.has(text) && seen.add(text)
  })
}

/** The file's text: a case a line. */
export function formatOriginVectors({ description, cases }: OriginVectors): string {
  const lines = cases.map(one => `  ${JSON.stringify(one)}`).join(',\n')
  return `{\n "description": ${JSON.stringify(description, undefined, 2).replaceAll('\n', '\n ')},\n "cases": [\n${lines}\n ]\n}\n`
}
