/**
 * A reason not to start that a person can act on: a bad setting, a port that is taken, a database that is down.
 * The program prints the message alone (one or more clear sentences, no secrets) and ends with exit code 1.
 */
export class StartError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StartError'
  }
}
