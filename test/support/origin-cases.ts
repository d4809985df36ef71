import type { Origin, OriginCheck } from '../../federation/origin/proof.js'
import type { SignedMessageFormat } from '../../src/names.js'
import {
  type Built,
  build,
  CREATED_AT,
  RECEIVED_AT,
  type Recipe,
  type Values,
  valuesOf
} from './origin-messages.js'
import { NOW, recipient } from './origin-parties.js'
import type { Members } from './origin-requests.js'

export interface Refused {
  readonly accept: false
  readonly httpStatus: number
  readonly code: string
  readonly check?: OriginCheck
}

export interface AcceptedRecipient {
  readonly recipient: string
  /** As the client chose it, an integer as its digits. */
  readonly messageId: string | null
  readonly origin: Origin
  /** Milliseconds; what the life of the message is counted from. */
  readonly time: number
}

export interface Accepted {
  readonly accept: true
  /** Of the recipients who are not refused. */
  readonly origin: Origin
  readonly format: SignedMessageFormat
  readonly messageBox: string
  /** The message's body as text. */
  readonly text: string
  readonly recipients: readonly (
    | AcceptedRecipient
    | (Omit<Refused, 'accept'> & { readonly recipient: string })
  )[]
}

/** One body of POST /propagateMessage, and what a host answers whose clock says `now`. */
export interface OriginCase {
  readonly id: string
  readonly what: string
  readonly now: number
  readonly body: Members
  readonly expect: Accepted | Refused
  readonly values: Values
}

/** What a genuine message needs beside its recipe. */
export interface Acceptance {
  readonly origin: Origin
  /** Where it is not that of the recipe: as it is read. */
  readonly format?: SignedMessageFormat
  readonly time?: number
  readonly text?: string
  /** Where the key id on the wire is not the one it was signed under. */
  readonly envelopeId?: (signedBytes: Buffer) => string
  /** Who is asked for, by index; all if absent. */
  readonly asked?: readonly number[]
  /** Recipients for whom there is no proof, by index. */
  readonly unproven?: Readonly<Record<number, OriginCheck>>
}

/** Collects cases. */
export class CaseList {
  readonly cases: OriginCase[] = []

  accept(name: string, what: string, recipe: Recipe, acceptance: Acceptance): Built {
    const built = build(recipe)
    const { origin, format = recipe.format ?? 'brc104', asked, unproven = {}, envelopeId } = acceptance
    const { recipients = [recipient], messageBox = 'inbox', body = 'hello' } = recipe
    const time =
      acceptance.time ??
      {
        signature: recipe.createdAt ?? CREATED_AT,
        'home-host': recipe.attestation?.receivedAt ?? RECEIVED_AT,
        sealed: NOW
      }[origin]
    const indexes = asked ?? recipients.map((_, index) => index)
    const messageIds =
      'messageId' in recipe
        ? [recipe.messageId].flat()
        : recipients.map((_, index) => (recipients.length > 1 ? `id-${index}` : 'id'))
    const values = {
      ...built.values,
      ...valuesOf(built.body),
      ...(envelopeId === undefined ? {} : { envelopeId: envelopeId(built.signedBytes) })
    }
    this.cases.push({
      id: `genuine/${name}`,
      what,
      now: NOW,
      body: built.body,
      expect: {
        accept: true,
        origin,
        format,
        messageBox,
        text: acceptance.text ?? String(body),
        recipients: indexes.map(index => {
          const { identityKey } = recipients[index]!
          const check = unproven[index]
          if (check !== undefined)
            return { recipient: identityKey, httpStatus: 403, code: 'ERR_ORIGIN_UNPROVEN', check }
          const messageId = messageIds[index]
          return {
            recipient: identityKey,
            messageId: messageId === undefined ? null : String(messageId),
            origin,
            time
          }
        })
      },
      values: { ...values, recipients: indexes.map(index => values.recipients![index]!) }
    })
    return built
  }

  /** A message whose origin nothing proves, and the check that says so. */
  refuse(check: OriginCheck, name: string, what: string, recipe: Recipe): void {
    const { body, values } = build(recipe)
    // What was changed on the wire may be part of the envelope's id.
    this.refuseBody(check, name, what, body, recipe.wire === undefined ? values : {})
  }

  refuseBody(check: OriginCheck, name: string, what: string, body: Members, values: Values = {}): void {
    this.#add(
      `${check}/${name}`,
      what,
      body,
      { accept: false, httpStatus: 403, code: 'ERR_ORIGIN_UNPROVEN', check },
      values
    )
  }

  /** A body that is not of the form of one. */
  malformed(name: string, what: string, body: Members): void {
    this.#add(`malformed/${name}`, what, body, {
      accept: false,
      httpStatus: 400,
      code: 'ERR_INVALID_PROPAGATION'
    })
  }

  /** A message whose time is too early or too late here. */
  untimely(httpStatus: 400 | 425, name: string, what: string, recipe: Recipe): void {
    const { body, values } = build(recipe)
    const code = httpStatus === 400 ? 'ERR_MESSAGE_EXPIRED' : 'ERR_MESSAGE_EARLY'
    const group = httpStatus === 400 ? 'expired' : 'early'
    this.#add(`${group}/${name}`, what, body, { accept: false, httpStatus, code }, values)
  }

  /** A genuine message that no host takes. */
  notTaken(name: string, what: string, recipe: Recipe, httpStatus: number, code: string): void {
    const { body, values } = build(recipe)
    this.#add(`not-taken/${name}`, what, body, { accept: false, httpStatus, code }, values)
  }

  #add(id: string, what: string, body: Members, expect: Refused, values: Values = {}): void {
    const { envelopeId, authorizationText, attestationText } = values
    this.cases.push({
      id,
      what,
      now: NOW,
      body,
      expect,
      values: {
        ...valuesOf(body),
        ...(envelopeId === undefined ? {} : { envelopeId }),
        // Elsewhere these are not what the message fails for.
        ...(authorizationText === undefined || !/^(sender-auth|attest)/.test(id)
          ? {}
          : { authorizationText, attestationText })
      }
    })
  }
}
