/**
 * Decodes standard base64 in its canonical form only: one sequence of bytes has one text, so that nothing which is
 * compared or signed as text (BRC-103 nonces are) has two spellings.
 *
 * @returns undefined for what is no string, not canonical, or not between `least` and `most` bytes
 */
export function decodeBase64(text: unknown, least: number, most: number): Buffer | undefined {
  if (typeof text !== 'string' || text.length > Math.ceil(most / 3) * 4) return undefined
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length < least || bytes.length > most) return undefined
  return bytes.toString('base64') === text ? bytes : undefined
}
