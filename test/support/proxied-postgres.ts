import { startCrashingPostgres } from './crashing-postgres.js'
import type { HostDatabase } from './fault-mesh.js'
import { TcpProxy } from './tcp-proxy.js'

/** A Postgres that can be killed, behind a proxy that misbehaves as it is told. */
export interface ProxiedPostgres extends HostDatabase {
  readonly proxy: TcpProxy
  /** Of the Postgres that runs now. */
  readonly pid: number | undefined
  stop(): Promise<void>
}

/** @param dataDirectory default: a new one */
export async function startProxiedPostgres(dataDirectory?: string): Promise<ProxiedPostgres> {
  const postgres = await startCrashingPostgres(dataDirectory)
  const { searchParams } = new URL(postgres.connectionString)
  const proxy = await TcpProxy.start(`${searchParams.get('host')}/.s.PGSQL.${searchParams.get('port')}`)
  const user = searchParams.get('user')
  return {
    proxy,
    connectionString: `postgresql://${user}@127.0.0.1:${proxy.port}/postgres?sslmode=disable`,
    directConnectionString: postgres.connectionString,
    get pid() {
      return postgres.pid
    },
    async stop() {
      await proxy.stop()
      await postgres.stop()
    }
  }
}
