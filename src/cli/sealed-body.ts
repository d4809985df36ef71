import type { WalletProtocol } from '@bsv/sdk'
import type { IdentityKey } from '../keys/identity-key.js'
import { isObject } from '../message.js'
import type { User } from './user-key.js'

/** How stock message-box clients encrypt (BRC-2 under this BRC-43 protocol). */
const PROTOCOL: WalletProtocol = [1, 'messagebox']
const KEY_ID = '1'

/** A body that only its recipient can read, as stock clients send it: `{"encryptedMessage":"<base64>"}`. */
export async function sealBody(user: User, recipient: IdentityKey, plaintext: string): Promise<string> {
  const wallet = await walletOf(user)
  const { ciphertext } = await wallet.encrypt({
    protocolID: PROTOCOL,
    keyID: KEY_ID,
    counterparty: recipient,
    plaintext: [...Buffer.from(plaintext, 'utf8')]
  })
  return JSON.stringify({ encryptedMessage: Buffer.from(ciphertext).toString('base64') })
}

/**
 * What a sealed body says.
 *
 * @returns the plain text; false if it is sealed and not for this user; undefined if it is not sealed
 */
export async function openBody(
  user: User,
  sender: IdentityKey,
  body: string
): Promise<string | false | undefined> {
  const ciphertext = ciphertextOf(body)
  if (ciphertext === undefined) return undefined
  const wallet = await walletOf(user)
  try {
    const { plaintext } = await wallet.decrypt({
      protocolID: PROTOCOL,
      keyID: KEY_ID,
      counterparty: sender,
      ciphertext: [...ciphertext]
    })
    return Buffer.from(plaintext).toString('utf8')
  } catch {
    return false
  }
}

function ciphertextOf(body: string): Buffer | undefined {
  if (!body.startsWith('{"encryptedMessage":')) return undefined
  try {
    const value: unknown = JSON.parse(body)
    const text = isObject(value) ? value.encryptedMessage : undefined
    return typeof text === 'string' ? Buffer.from(text, 'base64') : undefined
  } catch {
    return undefined
  }
}

/** Loaded when it is needed: most messages of a command line are not sealed. */
async function walletOf({ privateKey }: User) {
  const { PrivateKey, ProtoWallet } = await import('@bsv/sdk')
  return new ProtoWallet(PrivateKey.fromHex(Buffer.from(privateKey).toString('hex')))
}
