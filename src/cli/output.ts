/** Where a command writes what it has to say: sentences for a person, or JSON lines for a program. */
export class Output {
  readonly isJson: boolean
  readonly #out: NodeJS.WritableStream
  readonly #err: NodeJS.WritableStream

  /** @param isJson one JSON object a line on standard output, and no sentences there */
  constructor(isJson: boolean, out: NodeJS.WritableStream, err: NodeJS.WritableStream) {
    this.isJson = isJson
    this.#out = out
    this.#err = err
  }

  /** What happened: the object for a program, or the text for a person. */
  event(json: object, text: string): void {
    this.#out.write(this.isJson ? `${JSON.stringify(json)}\n` : `${printable(text)}\n`)
  }

  /** For a person only. */
  say(text: string): void {
    if (!this.isJson) this.#out.write(`${printable(text)}\n`)
  }

  /** On standard error, in either form: what went wrong, or is worth knowing beside the answer. */
  complain(text: string): void {
    this.#err.write(`${printable(text)}\n`)
  }
}

/** Control and format characters: in a stranger's text they would move the cursor, recolour or reorder what is read. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/gu
/** Harmless ones of these: line end, tab, and the joiners of many scripts and emoji. */
const HARMLESS = new Set(['\n', '\t', '\u200c', '\u200d'])

/** Text that is safe on a terminal: what could steer it is shown as its code. */
function printable(text: string): string {
  return text.replace(UNPRINTABLE, character =>
    HARMLESS.has(character) ? character : `\\u{${character.codePointAt(0)!.toString(16)}}`
  )
}

/** Lines in a frame, as wide as the longest. */
export function framed(lines: readonly string[]): string {
  const width = Math.max(...lines.map(line => line.length))
  const rule = '─'.repeat(width + 2)
  return [`┌${rule}┐`, ...lines.map(line => `│ ${line.padEnd(width)} │`), `└${rule}┘`].join('\n')
}

/** The text with every line moved to the right. */
export function indented(text: string, by = 4): string {
  return text.replaceAll(/^/gm, ' '.repeat(by))
}

/** A key as people compare it: its beginning and its end. */
export function shortKey(key: string): string {
  return `${key.slice(0, 8)}…${key.slice(-4)}`
}

/** `850 ms`, `2.4 s` */
export function duration(milliseconds: number): string {
  return milliseconds < 1_000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1_000).toFixed(1)} s`
}
