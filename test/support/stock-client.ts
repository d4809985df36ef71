import { AuthFetch, CompletedProtoWallet, PrivateKey } from '@bsv/sdk'
import type { TestUser } from './client.js'

/** The stock client of @bsv/sdk, acting as a test user. */
export function stockClient(user: TestUser): AuthFetch {
  return new AuthFetch(stockWallet(user))
}

/** A wallet of @bsv/sdk that can do everything which needs keys and nothing that needs coins. */
export function stockWallet(user: TestUser): CompletedProtoWallet {
  return new CompletedProtoWallet(PrivateKey.fromHex(user.privateKey.toString('hex')))
}
