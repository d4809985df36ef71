import { isIP } from 'node:net'
import { resolve } from 'node:path'

/** Reads the text of one setting. */
export interface Parser<T> {
  /** What the text may be, to follow "it may be". */
  readonly expected: string
  /** Undefined if it is something else. */
  parse(text: string): T | undefined
}

/** A thousand coins. */
const MOST_SATOSHIS = 1e11
const HEX_KEY = /^[0-9a-fA-F]{64}$/
const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i
const LAST_LABEL_IS_NUMBER = /(?:^|\.)(?:\d+|0x[\da-f]*)$/
const UNITS: Readonly<Record<string, number>> = { '': 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }

export function oneOf<T extends string>(...values: readonly T[]): Parser<T> {
  return { expected: values.join(', '), parse: text => values.find(value => value === text) }
}

export function integer(least: number, most: number): Parser<number> {
  return {
    expected: `a whole number from ${least} to ${most}`,
    parse: text => within(least, most, /^\d+$/, text)
  }
}

export function seconds(most: number): Parser<number> {
  return { expected: `seconds from 0 to ${most}`, parse: text => within(0, most, /^\d+(?:\.\d+)?$/, text) }
}

/** Bytes, also as `16MiB`. */
export function bytes(least: number, most: number): Parser<number> {
  return {
    expected: `bytes from ${least} to ${most}, also with KiB, MiB or GiB`,
    parse: text => {
      const [, digits = '', unit = ''] = /^(\d+) ?([KMG]iB)?$/.exec(text) ?? []
      return within(least, most, /^\d+$/, digits === '' ? '' : String(Number(digits) * (UNITS[unit] ?? 1)))
    }
  }
}

export const path: Parser<string> = { expected: 'a path', parse: text => resolve(text) }

export const listenAddress: Parser<string> = {
  expected: 'an address or a host name of this machine, for instance 127.0.0.1, or 0.0.0.0 for every address',
  parse: text => (isIP(text) !== 0 || HOST_NAME.test(text) ? text : undefined)
}

/**
 * Host name as in a PHIP token (protocol section 5), with a port or without. Which of these a network admits is
 * checked where the network is known.
 */
export const domain: Parser<string> = {
  expected: 'a lower-case host name without scheme, path or trailing dot, for instance relay.example.org',
  parse: text => {
    const [, name = '', port] = /^([^:]*)(?::([1-9]\d{0,4}))?$/.exec(text) ?? []
    if (!HOST_NAME.test(name) || name !== name.toLowerCase() || Number(port ?? 0) > 65535) return undefined
    // URLs take these for addresses, in spellings that nobody would compare with.
    if (LAST_LABEL_IS_NUMBER.test(name)) return isIP(name) === 4 && name.startsWith('127.') ? text : undefined
    return URL.canParse(`https://${name}`) ? text : undefined
  }
}

export const baseUrls: Parser<readonly string[]> = {
  expected: 'base URLs like https://relay.example.org, separated by commas',
  parse: text => list(text, baseUrl)
}

export const fees: Parser<ReadonlyMap<string, number>> = {
  expected: 'message boxes and satoshis like notifications=10, separated by commas',
  parse: text => {
    const pairs = list(text, fee)
    return pairs === undefined || new Set(pairs.map(([box]) => box)).size < pairs.length
      ? undefined
      : new Map(pairs)
  }
}

export const prices: Parser<ReadonlyMap<string, number>> = {
  expected: 'calls and satoshis like /sendMessage=10, separated by commas',
  parse: text => {
    const pairs = fees.parse(text)
    return pairs !== undefined && [...pairs.keys()].every(path => path.startsWith('/')) ? pairs : undefined
  }
}

export const boxNames: Parser<readonly string[]> = {
  expected: 'names of message boxes, separated by commas, at most 20',
  parse: text => {
    const names = [...new Set(list(text, name => (isBoxName(name) ? name : undefined)))]
    return names.length > 0 && names.length <= 20 ? names : undefined
  }
}

export const networks: Parser<readonly string[]> = {
  expected: 'addresses or ranges like 10.0.0.0/8, separated by commas',
  parse: text => list(text, addressOrRange)
}

export const privateKey: Parser<Uint8Array> = {
  expected: 'a private key as 64 hexadecimal digits',
  parse: text => (HEX_KEY.test(text) ? Buffer.from(text, 'hex') : undefined)
}

export function urlOf(example: string, ...protocols: readonly string[]): Parser<string> {
  return {
    expected: `a URL like ${example}`,
    parse: text => {
      // Postgres also knows user@/database?host=/folder, which other URLs do not.
      const url = text.replace('@/', '@localhost/')
      return URL.canParse(url) && protocols.includes(new URL(url).protocol) ? text : undefined
    }
  }
}

function within(least: number, most: number, form: RegExp, text: string): number | undefined {
  const value = Number(text)
  return form.test(text) && value >= least && value <= most ? value : undefined
}

function list<T>(text: string, parse: (item: string) => T | undefined): readonly T[] | undefined {
  const items = text
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '')
    .map(parse)
  return items.every(item => item !== undefined) ? items : undefined
}

function fee(text: string): readonly [string, number] | undefined {
  const [, box = '', digits = ''] = /^(.*\S)\s*=\s*(\d+)$/.exec(text) ?? []
  const satoshis = within(0, MOST_SATOSHIS, /^\d+$/, digits)
  return box === '' || satoshis === undefined ? undefined : [box, satoshis]
}

function isBoxName(name: string): boolean {
  return Buffer.byteLength(name) <= 128 && !/\p{Cc}/u.test(name)
}

function baseUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return undefined
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') return undefined
  return url.href.replace(/\/+$/, '')
}

function addressOrRange(text: string): string | undefined {
  const [address = '', prefix, ...rest] = text.split('/')
  const version = isIP(address)
  if (version === 0 || rest.length > 0) return undefined
  if (prefix === undefined) return text
  return within(0, version === 4 ? 32 : 128, /^\d+$/, prefix) === undefined ? undefined : text
}
