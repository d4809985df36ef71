/*
 * Array parameters of statements. The driver quotes every element, whatever it is; these need no quotes.
 */

/** Numbers, booleans, or uuids as hexadecimal text. */
export type PlainElement = number | boolean | string

/** @param values of text only what has neither commas, quotes, braces nor backslashes, and is not empty */
export function plainArray(values: readonly (PlainElement | null | undefined)[]): string {
  let text = '{'
  for (let i = 0; i < values.length; i++) {
    if (i > 0) text += ','
    text += values[i] ?? 'NULL'
  }
  return `${text}}`
}
