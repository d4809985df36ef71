import pg from 'pg'

/** One node of a plan as Postgres tells it (EXPLAIN, JSON, with ANALYZE). */
interface PlanNode {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  /** For each loop, on average. */
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly Plans?: readonly PlanNode[]
}

/** What a statement, also one inside a function, has read of one table in one place of its plan. */
export interface Scan {
  readonly type: string
  readonly table: string
  /** Rows looked at, whether they were of use or not. */
  readonly rows: number
  /** The statement, for whoever has to mend it. */
  readonly query: string
}

export interface Observed {
  /** Names of the prepared statements that were sent, one for each round trip. */
  readonly statements: string[]
  readonly scans: Scan[]
}

/** Watches what every connection to one database does. */
export interface StatementObserver {
  /** What happened while this ran. */
  during(work: () => Promise<unknown>): Promise<Observed>
  stop(): void
}

const SETTINGS = {
  session_preload_libraries: 'auto_explain',
  'auto_explain.log_min_duration': '0',
  'auto_explain.log_nested_statements': 'on',
  'auto_explain.log_analyze': 'on',
  'auto_explain.log_timing': 'off',
  'auto_explain.log_format': 'json',
  // Notices reach the client and leave the server's log alone.
  'auto_explain.log_level': 'notice'
}

/**
 * From now on every new connection of this process to the database explains what it runs. Only one at a time.
 *
 * @param applicationName of the connections that are watched
 */
export async function observeStatements(
  connectionString: string,
  applicationName: string
): Promise<StatementObserver> {
  const database = await explainEverything(connectionString)
  let observed: Observed = { statements: [], scans: [] }
  const seen = new WeakSet<pg.Client>()
  const original = pg.Client.prototype.query
  const observing = function (this: pg.Client, ...args: unknown[]): unknown {
    const { connectionParameters } = this as unknown as { connectionParameters: Record<string, unknown> }
    if (
      connectionParameters.database === database &&
      connectionParameters.application_name === applicationName
    ) {
      if (!seen.has(this)) {
        seen.add(this)
        this.on('notice', ({ message }) => observed.scans.push(...scansIn(message ?? '')))
      }
      const [asked] = args as [{ name?: string; text?: string }]
      observed.statements.push(asked.name ?? asked.text ?? '')
    }
    return Reflect.apply(original, this, args)
  }
  pg.Client.prototype.query = observing as typeof original
  return {
    async during(work) {
      observed = { statements: [], scans: [] }
      await work()
      return observed
    },
    stop() {
      pg.Client.prototype.query = original
    }
  }
}

/** @returns name of the database */
async function explainEverything(connectionString: string): Promise<string> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  const { rows } = await client.query<{ name: string }>('select current_database() as name')
  const { name } = rows[0]!
  for (const [setting, value] of Object.entries(SETTINGS)) {
    // Its settings are known only where it is loaded.
    if (setting.startsWith('auto_explain')) await client.query(`load 'auto_explain'`)
    await client.query(`alter database ${name} set ${setting} = '${value}'`)
  }
  await client.end()
  return name
}

function scansIn(notice: string): Scan[] {
  const start = notice.indexOf('{')
  if (!notice.startsWith('duration:') || start < 0) return []
  const { 'Query Text': query, Plan: plan } = JSON.parse(notice.slice(start)) as {
    'Query Text': string
    Plan: PlanNode
  }
  return scansOf(plan, query)
}

function scansOf(node: PlanNode, query: string): Scan[] {
  const table = node['Relation Name']
  const inner = (node.Plans ?? []).flatMap(plan => scansOf(plan, query))
  if (table === undefined || !node['Node Type'].includes('Scan')) return inner
  const each = node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)
  const scan = { type: node['Node Type'], table, rows: Math.round(each * node['Actual Loops']), query }
  return [scan, ...inner]
}
