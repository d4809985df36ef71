import { shownTxid, storedTxid } from './transaction.js'

/** Version 2, no BUMP, one transaction, of which only the id is there (BRC-96). */
const HEAD = Buffer.from('0200beef000102', 'hex')
const TXID_BYTES = 32

/** A BEEF that names a transaction to somebody who holds it already. */
export function txidOnlyBeef(txid: string): Buffer {
  return Buffer.concat([HEAD, storedTxid(txid)])
}

/** The id in such a BEEF; undefined for anything else. */
export function parseTxidOnlyBeef(beef: Uint8Array): string | undefined {
  if (beef.length !== HEAD.length + TXID_BYTES || !HEAD.equals(beef.subarray(0, HEAD.length)))
    return undefined
  return shownTxid(beef.subarray(HEAD.length))
}
