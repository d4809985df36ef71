import { createCipheriv } from 'node:crypto'
import type { KeyDeriver } from '../../src/keys/key-deriver.js'
import type { SignedMessageFormat } from '../../src/names.js'
import { forgeFromPublicKey } from './origin-forgery.js'
import { DAY, host, NOW, privateKey, recipient, seeded, seededBase64, sender } from './origin-parties.js'
import { portable } from './origin-portable.js'
import { INVOICE_PREFIX, type Members, signedBytes } from './origin-requests.js'
import { curve, sha256 } from './phip-token-builder.js'

/** When the sender authorized his home host, until when, and when that host received his request, ms. */
export const GIVEN = NOW - DAY
export const EXPIRES = GIVEN + 60 * DAY
export const RECEIVED_AT = NOW - 1_000
export const CREATED_AT = NOW - 2_000

export interface AuthorizationRecipe {
  readonly signer?: KeyDeriver
  readonly hostKey?: string
  readonly given?: number
  readonly expires?: number
  /** What is signed, if not what the members say. */
  readonly text?: string
  /** Made from the text that should be signed. */
  readonly signature?: (text: string) => string
}

export interface AttestationRecipe {
  readonly signer?: KeyDeriver
  /** Hex. */
  readonly envelopeId?: string
  readonly sender?: string
  readonly receivedAt?: number
  readonly text?: string
  readonly signature?: (text: string) => string
}

/** A /propagateMessage body; what the recipe leaves out is as in a genuine one: in clear, from the sender to the recipient. */
export interface Recipe {
  /** Nonces and key ids come from it; messages of different labels have nothing in common. */
  readonly label?: string
  readonly format?: SignedMessageFormat
  readonly sender?: KeyDeriver
  /** Who authenticated the request. */
  readonly host?: KeyDeriver
  readonly recipients?: readonly KeyDeriver[]
  readonly messageBox?: string
  /** Undefined as well: none. */
  readonly messageId?: unknown
  readonly body?: unknown
  /** Its ciphertext, where the body is sealed. */
  readonly ciphertext?: string
  readonly createdAt?: number
  /** The sender's own signatures: true, or what stands in the place of each. */
  readonly signed?: true | ((signature: string, text: string, index: number) => unknown)
  /** Under the sender's authorization of his home host. */
  readonly attested?: true
  readonly authorization?: AuthorizationRecipe
  readonly attestation?: AttestationRecipe
  /** Changes the member `message` after it was signed. */
  readonly message?: (message: Members) => Members
  /** Changes the bytes that the request is signed over. */
  readonly bytes?: (bytes: Buffer, message: Members) => Buffer
  /** Nobody has signed the request: signature and linkage are made from the sender's public key alone. */
  readonly forged?: true
  /** Changes the finished body. */
  readonly wire?: (body: Members) => Members
}

/** The steps on the way to a decision, for whoever implements it again. */
export interface Values {
  /** originalSender + keyLinkage · G. */
  readonly childPublicKey?: string
  readonly envelopeId?: string
  readonly authorizationText?: string
  readonly attestationText?: string
  /** Of each recipient: the text that the sender signed, null if he signed none, and the name of the message. */
  readonly recipients?: readonly { readonly signedText: string | null; readonly name: string }[]
}

export interface Built {
  readonly body: Members
  readonly values: Values
  readonly signedBytes: Buffer
  readonly keyID: string
  readonly senderSignature: Buffer
  readonly keyLinkage: Buffer
}

export function build(recipe: Recipe): Built {
  const { label = 'message', format = 'brc104', sender: from = sender, host: home = host } = recipe
  const { recipients = [recipient] } = recipe
  const { message, texts } = messageOf(recipe, recipients, from)
  const plain = signedBytes(format, label, message)
  const bytes = recipe.bytes?.(plain, message) ?? plain
  const keyID = `${seededBase64(`nonce ${label}`, 32)} ${seededBase64(`session ${label}`, 48)}`
  const invoice = INVOICE_PREFIX[format] + keyID
  const { senderSignature, keyLinkage } =
    recipe.forged === true
      ? forgeFromPublicKey(from.publicKey, bytes)
      : {
          senderSignature: from.sign(bytes, invoice, home.publicKey),
          keyLinkage: home.linkage(from.publicKey, invoice)
        }
  const envelopeId = envelopeIdOf(from.identityKey, format, keyID, bytes)
  const proof = recipe.attested === true ? homeHostProof(recipe, from, home, envelopeId) : undefined
  const body: Members = {
    originalSender: from.identityKey,
    keyLinkage: keyLinkage.toString('hex'),
    signedMessage: bytes.toString('base64'),
    senderSignature: senderSignature.toString('hex'),
    signedMessageFormat: format,
    keyID,
    ...proof?.members
  }
  const names = recipients.map((_, index) => {
    const signedText = texts[index] ?? null
    return { signedText, name: nameOf(recipe, from, signedText, envelopeId) }
  })
  const values = { ...valuesOf(body), envelopeId, ...proof?.texts, recipients: names }
  return { body: recipe.wire?.(body) ?? body, values, signedBytes: bytes, keyID, senderSignature, keyLinkage }
}

/** The member `message`, and of each recipient the text that the sender has signed for him. */
function messageOf(
  recipe: Recipe,
  recipients: readonly KeyDeriver[],
  from: KeyDeriver
): { message: Members; texts: (string | undefined)[] } {
  const { label = 'message', messageBox = 'inbox', body = 'hello', signed } = recipe
  const several = recipients.length > 1
  const messageId =
    'messageId' in recipe ? recipe.messageId : several ? recipients.map((_, index) => `id-${index}`) : 'id'
  const createdAt = recipe.createdAt ?? (signed === undefined ? undefined : CREATED_AT)
  const keys = recipients.map(({ identityKey }) => identityKey)
  const texts = keys.map((key, index) => {
    const id = Array.isArray(messageId) ? messageId[index] : messageId
    return messageText(key, messageBox, id, String(body), createdAt!)
  })
  const signatures =
    signed === undefined ? [] : texts.map((text, index) => portable(from, text, `${label} ${index}`))
  const shown =
    signed === undefined || signed === true ? signatures : signatures.map((s, i) => signed(s, texts[i]!, i))
  const message: Members = {
    ...(several ? { recipients: keys } : { recipient: keys[0] }),
    messageBox,
    ...(messageId === undefined ? {} : { messageId }),
    body,
    ...(createdAt === undefined ? {} : { createdAt }),
    ...(signed === undefined ? {} : several ? { signatures: shown } : { signature: shown[0] })
  }
  return {
    message: recipe.message?.(message) ?? message,
    texts: signatures.map((signature, index) => (signature === shown[index] ? texts[index] : undefined))
  }
}

function homeHostProof(recipe: Recipe, from: KeyDeriver, home: KeyDeriver, envelopeId: string) {
  const { label = 'message' } = recipe
  const {
    signer = from,
    hostKey = home.identityKey,
    given = GIVEN,
    expires = EXPIRES,
    ...a
  } = recipe.authorization ?? {}
  const authorizationText = a.text ?? senderText(hostKey, given, expires)
  const {
    signer: attester = home,
    envelopeId: id = envelopeId,
    sender: of = from.identityKey,
    receivedAt = RECEIVED_AT,
    ...b
  } = recipe.attestation ?? {}
  const text = b.text ?? attestationText(id, of, receivedAt)
  const members: Members = {
    senderAuthorization: {
      hostKey,
      given,
      expires,
      signature:
        a.signature?.(authorizationText) ?? portable(signer, authorizationText, `${label} authorization`)
    },
    hostAttestation: {
      receivedAt,
      signature: b.signature?.(text) ?? portable(attester, text, `${label} attestation`)
    }
  }
  return { members, texts: { authorizationText, attestationText: text } }
}

/** The name of the message across hosts (protocol section 2). */
function nameOf(
  { ciphertext, messageBox = 'inbox' }: Recipe,
  from: KeyDeriver,
  signedText: string | null,
  envelopeId: string
): string {
  const parts = ciphertext === undefined ? ['signature', signedText] : ['sealed', messageBox, ciphertext]
  if (ciphertext === undefined && signedText === null) return envelopeId
  return sha256(Buffer.from(JSON.stringify([from.identityKey, ...parts]))).toString('hex')
}

export function messageText(
  to: string,
  box: string,
  messageId: unknown,
  body: string,
  createdAt: number
): string {
  const id = messageId === undefined || messageId === null ? null : String(messageId)
  return JSON.stringify(['peerserv message', 1, to, box, id, body, createdAt])
}

export function senderText(hostKey: string, given: number, expires: number): string {
  return JSON.stringify(['peerserv sender', 1, hostKey, given, expires])
}

export function attestationText(envelopeId: string, from: string, receivedAt: number): string {
  return JSON.stringify(['peerserv attestation', 1, envelopeId, from, receivedAt])
}

export function envelopeIdOf(from: string, format: string, keyID: string, bytes: Uint8Array): string {
  return sha256(Buffer.concat([Buffer.from(JSON.stringify([from, format, keyID])), bytes])).toString('hex')
}

/** What can be computed of a body whatever is wrong with it. */
export function valuesOf({ originalSender, keyLinkage }: Members): Values {
  try {
    const key = curve.addToPublicKey(
      Buffer.from(String(originalSender), 'hex'),
      Buffer.from(String(keyLinkage), 'hex')
    )
    return { childPublicKey: Buffer.from(key).toString('hex') }
  } catch {
    return {}
  }
}

/** Base64 of a BRC-2 ciphertext as stock message-box clients make it, but for the IV, which is random in life. */
export function seal(
  plaintext: string,
  label: string,
  to: KeyDeriver = recipient,
  from: KeyDeriver = sender
): string {
  const invoice = '1-messagebox-1'
  const offset = from.linkage(to.publicKey, invoice)
  const key = curve.sharedPoint(
    curve.addToPrivateKey(privateKey(from), offset),
    curve.addToPublicKey(to.publicKey, offset)
  )
  const iv = seeded(`iv ${label}`, 32)
  const cipher = createCipheriv('aes-256-gcm', key.subarray(1), iv)
  return Buffer.concat([iv, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]).toString('base64')
}

/** The parts of a recipe for a sealed body. */
export function sealed(
  label: string,
  to: KeyDeriver = recipient,
  plaintext = '"hello"'
): Pick<Recipe, 'body' | 'ciphertext'> {
  const ciphertext = seal(plaintext, label, to)
  return { body: JSON.stringify({ encryptedMessage: ciphertext }), ciphertext }
}
