import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { KeyDeriver } from '../keys/key-deriver.js'

/*
 * The derivation prefix of a 402 (BRC-105) is all that is remembered of it:
 *
 *   offset  bytes  content
 *        0      6  when it ends, ms, big endian
 *        6      6  satoshis, big endian
 *       12     12  random
 *       24     24  MAC over these, the payer and the call
 *
 * As text: base64, 64 characters.
 */
const ENDS_AT = 0
const SATOSHIS_AT = 6
const RANDOM_AT = 12
const MAC_AT = 24
const LENGTH = 48

/** How long a price can be paid, ms. Clients pay at once; wallets may ask their owner. */
const LIFE_MILLISECONDS = 10 * 60 * 1000

/** What was asked for. */
export interface Price {
  readonly satoshis: number
  /** Milliseconds. */
  readonly endsAt: number
}

/** @param payer 33 bytes @param path of the call @param satoshis below 2^48 */
export function makePrefix(
  keys: KeyDeriver,
  payer: Uint8Array,
  path: string,
  satoshis: number,
  now: number
): string {
  const bytes = Buffer.alloc(LENGTH)
  bytes.writeUIntBE(now + LIFE_MILLISECONDS, ENDS_AT, 6)
  bytes.writeUIntBE(satoshis, SATOSHIS_AT, 6)
  randomBytes(MAC_AT - RANDOM_AT).copy(bytes, RANDOM_AT)
  mac(keys, bytes, payer, path).copy(bytes, MAC_AT)
  return bytes.toString('base64')
}

/** @returns undefined where this node did not make it for this payer and call */
export function readPrefix(
  keys: KeyDeriver,
  prefix: string,
  payer: Uint8Array,
  path: string
): Price | undefined {
  const bytes = Buffer.from(prefix, 'base64')
  if (bytes.length !== LENGTH || bytes.toString('base64') !== prefix) return undefined
  if (!timingSafeEqual(bytes.subarray(MAC_AT), mac(keys, bytes, payer, path))) return undefined
  return { satoshis: bytes.readUIntBE(SATOSHIS_AT, 6), endsAt: bytes.readUIntBE(ENDS_AT, 6) }
}

function mac(keys: KeyDeriver, bytes: Buffer, payer: Uint8Array, path: string): Buffer {
  const said = Buffer.concat([bytes.subarray(0, MAC_AT), payer, Buffer.from(path)])
  return keys.hmac('payment prefix', said).subarray(0, LENGTH - MAC_AT)
}
