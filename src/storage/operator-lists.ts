import type { ListEntry, ListKind, ListName } from '../operator-lists.js'
import { type Queryable, statement } from './database.js'

export interface ListChange {
  readonly list: ListName
  readonly kind: ListKind
  readonly values: readonly string[]
  /** True: the values leave the list. */
  readonly remove: boolean
  readonly reason: string | undefined
}

const CHANGE = statement(
  'change-operator-list',
  `select changed, revision from change_operator_list(
    $1::text, $2::text, $3::text[], $4::boolean, $5::text, $6::bigint, $7::bigint)`
)

/**
 * Changes a list, and tells all processes of the node.
 *
 * @param most entries of all lists together
 * @returns how many values changed anything (undefined: there would be too many entries, nothing was done), and the
 * revision that a process has read once it knows
 */
export async function changeOperatorList(
  database: Queryable,
  { list, kind, values, remove, reason }: ListChange,
  now: number,
  most: number
): Promise<{ changed: number | undefined; revision: number }> {
  const [row] = await database.query<{ changed: number; revision: number }>(CHANGE, [
    list,
    kind,
    values,
    remove,
    reason ?? null,
    now,
    most
  ])
  const { changed, revision } = row!
  return { changed: changed < 0 ? undefined : changed, revision }
}

export interface StoredEntry extends ListEntry {
  readonly reason: string | null
  /** Milliseconds. */
  readonly added_at: number
}

const PAGE = statement(
  'operator-list-page',
  `select list, kind, value, reason, added_at from operator_list_entries
  where list = $1::text and ($2::text is null or kind = $2::text) and (kind, value) > ($3::text, $4::text)
  order by kind, value limit $5::integer`
)

/** Entries of a list behind one of them, in the order of kind and value. */
export function operatorListPage(
  database: Queryable,
  list: ListName,
  kind: ListKind | undefined,
  after: { readonly kind: string; readonly value: string },
  limit: number
): Promise<StoredEntry[]> {
  return database.query(PAGE, [list, kind ?? null, after.kind, after.value, limit])
}

const PROCESSES = statement(
  'operator-lists-processes',
  `select count(*) as running,
    count(*) filter (where split_part(application_name, ' ', 3)::bigint >= $1::bigint) as applied
  from pg_stat_activity
  where datname = current_database() and application_name ~ '^peerserv lists [0-9]{1,15}$'`
)

/** How many processes of the node run, and how many of them have read the lists up to a revision. */
export async function listsProcesses(
  database: Queryable,
  revision: number
): Promise<{ running: number; applied: number }> {
  const [row] = await database.query<{ running: number; applied: number }>(PROCESSES, [revision])
  return row!
}
