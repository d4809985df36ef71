import ipaddr from 'ipaddr.js'

/** Whom an address stands for: itself, or for IPv6 its /64, which is the least that anybody is given. */
export function addressBlock(address: string): string {
  if (!address.includes(':')) return address
  try {
    const bytes = ipaddr.process(address).toByteArray()
    return bytes.length === 4 ? bytes.join('.') : Buffer.from(bytes.slice(0, 8)).toString('hex')
  } catch {
    return address
  }
}
