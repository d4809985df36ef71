// Mocha's usual output, and the counts in the file named by TEST_COUNTS; works with parallel runs.
const { writeFileSync } = require('node:fs')
const { reporters, Runner } = require('mocha')

module.exports = class CountingReporter extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options)
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const { passes, failures, pending } = this.stats
      writeFileSync(process.env.TEST_COUNTS, JSON.stringify({ passes, failures, pending }))
    })
  }
}
