import type { AnsweredOutput } from './overlay-host.js'

/** Outputs that are read of one answer. */
const MAX_OUTPUTS = 250

/**
 * Parses the JSON form of a BRC-24 answer. An output that makes no sense is left out, so that one of them spoils nothing
 * for the others.
 *
 * @returns undefined for anything but an output list
 */
export function parseLookupAnswer(answer: unknown): AnsweredOutput[] | undefined {
  if (typeof answer !== 'object' || answer === null) return undefined
  const { type, outputs }: { type?: unknown; outputs?: unknown } = answer
  if (type !== 'output-list' || !Array.isArray(outputs)) return undefined
  return outputs.slice(0, MAX_OUTPUTS).flatMap(output => parseOutput(output) ?? [])
}

function parseOutput(output: unknown): AnsweredOutput | undefined {
  if (typeof output !== 'object' || output === null) return undefined
  const { beef, outputIndex }: { beef?: unknown; outputIndex?: unknown } = output
  if (typeof outputIndex !== 'number' || !Number.isSafeInteger(outputIndex) || outputIndex < 0)
    return undefined
  const bytes = Array.isArray(beef) ? bytesOf(beef) : undefined
  return bytes && { beef: bytes, outputIndex }
}

function bytesOf(numbers: readonly unknown[]): Uint8Array | undefined {
  const bytes = new Uint8Array(numbers.length)
  for (let index = 0; index < numbers.length; index++) {
    const byte = numbers[index]
    if (typeof byte !== 'number' || !Number.isInteger(byte) || byte < 0 || byte > 255) return undefined
    bytes[index] = byte
  }
  return bytes
}
