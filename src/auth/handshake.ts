import type { Endpoint, Reply } from '../endpoint.js'
import { type IdentityKey, identityKeyBytes, parseIdentityKey } from '../keys/identity-key.js'
import { STRANGER_BODY_LIMIT } from '../request-body.js'
import { authFailed, sessionNotFound, unauthorized } from './auth-errors.js'
import { decodeBase64 } from './base64.js'
import { AUTH_VERSION, type AuthContext, authInvoiceNumber } from './brc104.js'
import { randomNonce } from './nonce.js'
import { sessionTime } from './session-epoch.js'
import { checkSessionNonce, mintSessionNonce, NONCE_LEAST, NONCE_MOST } from './session-nonce.js'

/** This node asks nobody for certificates (BRC-103 section "Certificates"; a relay needs none). */
const NO_CERTIFICATES = { certifiers: [], types: {} }

type Members = Readonly<Record<string, unknown>>

/**
 * POST /.well-known/auth: every message of BRC-103 but the general one, as JSON (BRC-104 section "Non-general
 * messages"). Nothing is stored and no database is asked.
 *
 * Errors: 400 ERR_INVALID_JSON; 401 UNAUTHORIZED for a member that is missing or malformed, ERR_AUTH_FAILED for a
 * session or signature that is not good.
 */
export const handshake: Endpoint<AuthContext> = {
  method: 'POST',
  path: '/.well-known/auth',
  authenticated: false,
  bodyLimit: () => STRANGER_BODY_LIMIT,
  handler: async (request, auth) => answerHandshake(request.json(), auth)
}

/**
 * Answers a message of the handshake, whatever it came over.
 *
 * @throws ApiError as the endpoint
 */
export function answerHandshake(message: unknown, auth: AuthContext): Reply {
  if (!isObject(message)) throw unauthorized('The body must be a JSON object.')
  if (message.version !== AUTH_VERSION) throw unauthorized(`Member version must be "${AUTH_VERSION}".`)
  const identityKey = parseIdentityKey(auth.curve, message.identityKey)
  if (identityKey === undefined) throw unauthorized('Member identityKey must be a public key in hex.')

  switch (message.messageType) {
    case 'initialRequest':
      return initialResponse(message, identityKey, auth)
    case 'certificateRequest':
      return certificateResponse(message, identityKey, auth)
    case 'certificateResponse':
      // Nothing was asked for, so nothing is granted for it.
      return { body: {} }
    default:
      throw unauthorized(
        'Member messageType must be initialRequest, certificateRequest or certificateResponse.'
      )
  }
}

function initialResponse(message: Members, identityKey: IdentityKey, auth: AuthContext): Reply {
  // BRC-104's examples call it `nonce`, BRC-103 and the stock client `initialNonce`.
  const yourNonce = message.initialNonce ?? message.nonce
  const yourNonceBytes = decodeBase64(yourNonce, NONCE_LEAST, NONCE_MOST)
  if (yourNonceBytes === undefined || typeof yourNonce !== 'string') {
    throw unauthorized(`Member initialNonce must be base64 of ${NONCE_LEAST} to ${NONCE_MOST} bytes.`)
  }
  const issuedAt = sessionTime(auth)
  const initialNonce = mintSessionNonce(auth.keys, { identityKey, initialNonce: yourNonce, issuedAt })
  const signature = auth.keys.sign(
    Buffer.concat([yourNonceBytes, Buffer.from(initialNonce, 'base64')]),
    authInvoiceNumber(`${yourNonce} ${initialNonce}`),
    identityKeyBytes(identityKey)
  )
  return signedMessage(auth, 'initialResponse', signature, {
    // Both names, as above.
    initialNonce,
    nonce: initialNonce,
    yourNonce,
    certificates: [],
    requestedCertificates: NO_CERTIFICATES
  })
}

/** Somebody asks for this node's certificates: it has none, and says so under its signature. */
function certificateResponse(message: Members, identityKey: IdentityKey, auth: AuthContext): Reply {
  const { nonce, yourNonce } = message
  if (typeof nonce !== 'string' || decodeBase64(nonce, NONCE_LEAST, NONCE_MOST) === undefined) {
    throw unauthorized(`Member nonce must be base64 of ${NONCE_LEAST} to ${NONCE_MOST} bytes.`)
  }
  if (typeof yourNonce !== 'string') throw unauthorized('Member yourNonce is missing.')
  if (!isObject(message.requestedCertificates)) throw unauthorized('Member requestedCertificates is missing.')
  const session = checkSessionNonce(auth.keys, yourNonce, identityKey, sessionTime(auth))
  if (session === undefined) throw sessionNotFound()

  const counterparty = identityKeyBytes(identityKey)
  const asked = Buffer.from(JSON.stringify(message.requestedCertificates))
  const askedUnder = authInvoiceNumber(`${nonce} ${yourNonce}`)
  const askedWith = signatureBytes(message.signature)
  if (askedWith === undefined || !auth.keys.verify(asked, askedWith, askedUnder, counterparty)) {
    throw authFailed('The signature does not fit this message.')
  }
  const answerNonce = randomNonce(32).toString('base64')
  const answeredUnder = authInvoiceNumber(`${answerNonce} ${session.initialNonce}`)
  const signature = auth.keys.sign(Buffer.from('[]'), answeredUnder, counterparty)
  return signedMessage(auth, 'certificateResponse', signature, {
    nonce: answerNonce,
    initialNonce: yourNonce,
    yourNonce: session.initialNonce,
    certificates: []
  })
}

/** The message as today's clients read it (body), and as BRC-104's text shows it (headers). */
function signedMessage(
  auth: AuthContext,
  messageType: string,
  signature: Buffer,
  members: Members & { readonly nonce: string; readonly yourNonce: string }
): Reply {
  const { identityKey } = auth.keys
  return {
    body: { version: AUTH_VERSION, messageType, identityKey, ...members, signature: [...signature] },
    headers: {
      'x-bsv-auth-version': AUTH_VERSION,
      'x-bsv-auth-message-type': messageType,
      'x-bsv-auth-identity-key': identityKey,
      'x-bsv-auth-nonce': members.nonce,
      'x-bsv-auth-your-nonce': members.yourNonce,
      'x-bsv-auth-signature': signature.toString('hex')
    }
  }
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The longest DER signature has 72 bytes; what is too short or malformed is for the verification to refuse. */
export function signatureBytes(value: unknown): Buffer | undefined {
  if (!Array.isArray(value) || value.length > 72) return undefined
  const isByte = (item: unknown): item is number =>
    Number.isInteger(item) && Number(item) >= 0 && Number(item) < 256
  return value.every(isByte) ? Buffer.from(value) : undefined
}
