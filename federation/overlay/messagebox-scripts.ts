import type { Network } from '../../src/config.js'
import type { Curve } from '../../src/curve/curve.js'
import { identityKeyBytes } from '../../src/keys/identity-key.js'
import type { IndexedAdvertisement } from '../storage/messagebox-hosts.js'
import { looksLikeAdvertisement, verifyAdvertisementScript } from './host-advertisement.js'
import type { TopicScripts } from './topic.js'

/** Recognizes host advertisements of one network. Pure. */
export class MessageBoxScripts implements TopicScripts<IndexedAdvertisement> {
  readonly #curve: Curve
  readonly #network: Network

  constructor(curve: Curve, network: Network) {
    this.#curve = curve
    this.#network = network
  }

  looksLikeIt(script: Uint8Array): boolean {
    return looksLikeAdvertisement(script)
  }

  recognize(txid: string, outputIndex: number, script: Uint8Array): IndexedAdvertisement | undefined {
    const advertisement = verifyAdvertisementScript(this.#curve, script, this.#network)
    if (advertisement === undefined) return undefined
    const { identityKey, host, domain } = advertisement
    return { txid, outputIndex, recipient: identityKeyBytes(identityKey), host, domain }
  }
}
