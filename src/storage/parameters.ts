/** A parameter as it is sent: bytes in binary form, everything else as text. */
export type Parameter = string | Buffer | null

/**
 * The form in which Postgres reads a value: bytes as they are, arrays as literals, objects as JSON, everything else as
 * its text.
 *
 * @throws TypeError for what has no such form
 */
export function parameterOf(value: unknown): Parameter {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return null
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
    return String(value)
  if (Buffer.isBuffer(value)) return value
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (Array.isArray(value)) return arrayLiteral(value)
  if (value instanceof Date) return value.toISOString()
  if (typeof value === 'object') return JSON.stringify(value)
  throw new TypeError(`no parameter of a statement: ${typeof value}`)
}

/** Of one dimension, as the functions here take them. */
function arrayLiteral(values: readonly unknown[]): string {
  let literal = '{'
  for (let i = 0; i < values.length; i++) {
    if (i > 0) literal += ','
    const value = values[i]
    if (typeof value === 'number' || typeof value === 'boolean') {
      literal += value
      continue
    }
    const parameter = parameterOf(value)
    if (parameter === null) literal += 'NULL'
    else if (typeof parameter === 'string') literal += quoted(parameter)
    else literal += `"\\\\x${parameter.toString('hex')}"`
  }
  return `${literal}}`
}

function quoted(text: string): string {
  return /["\\]/.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : `"${text}"`
}
