-- What the operator of this node decides: whom it serves, and which hosts are left alone.

-- Blocked and allowed identities, hosts (both 66 hex characters) and domains. Every process keeps all of it in memory.
create table operator_list_entries (
  list text not null check (list in ('block', 'allow')),
  kind text not null check (kind in ('identity', 'host', 'domain')),
  value text not null check (octet_length(value) between 1 and 300),
  reason text,
  added_at bigint not null,
  primary key (list, kind, value)
);

-- Grows with every change, so that a process knows whether what it has in memory is the latest.
create table operator_lists (
  only_row boolean primary key default true check (only_row),
  revision bigint not null
);
insert into operator_lists (revision) values (0);

-- Puts values on a list, or takes them off. Answers how many were new, changed or gone, and the revision that has them;
-- changed = -1 and nothing done where there would be more than p_most entries in all.
create function change_operator_list(
  p_list text, p_kind text, p_values text[], p_remove boolean, p_reason text, p_now bigint, p_most bigint
) returns table (changed bigint, revision bigint) language plpgsql as $$
declare
  v_changed bigint;
  v_revision bigint;
begin
  -- One change at a time: whoever reads a revision reads everything up to it.
  select l.revision into v_revision from operator_lists l for update;
  if p_remove then
    delete from operator_list_entries e where e.list = p_list and e.kind = p_kind and e.value = any (p_values);
  else
    if (select count(*) from operator_list_entries) + cardinality(p_values) > p_most then
      return query select -1::bigint, v_revision;
      return;
    end if;
    insert into operator_list_entries as e (list, kind, value, reason, added_at)
      select p_list, p_kind, v, p_reason, p_now from unnest(p_values) v
      on conflict (list, kind, value) do update set reason = excluded.reason
      where e.reason is distinct from excluded.reason;
  end if;
  get diagnostics v_changed = row_count;
  if v_changed > 0 then
    update operator_lists l set revision = l.revision + 1 returning l.revision into v_revision;
    perform pg_notify('operator_lists', v_revision::text);
  end if;
  return query select v_changed, v_revision;
end $$;

-- Domains to which nothing goes out until they are released; their mail waits, and expires.
create table held_domains (
  domain text primary key,
  reason text,
  held_at bigint not null
);

-- How many deliveries wait for a domain, counted up to p_most. Along the index whatever the planner thinks of it: it takes
-- the limit for none, and gathers all that wait before it counts.
create function count_pending(p_domain text, p_most bigint) returns bigint
language plpgsql stable set enable_bitmapscan = off set enable_seqscan = off as $$
begin
  return (select count(*) from (
    select from deliveries where domain = p_domain and state = 'pending' limit p_most
  ) waiting);
end $$;

-- How many of the oldest p_most deliveries that wait for a domain are in a call right now. No index knows of claims.
create function count_under_way(p_domain text, p_now bigint, p_most bigint) returns bigint
language plpgsql stable set enable_bitmapscan = off set enable_seqscan = off set enable_sort = off as $$
begin
  return (select count(*) filter (where claimed_until > p_now) from (
    select claimed_until from deliveries
    where domain between p_domain and p_domain and state = 'pending' order by domain, id limit p_most
  ) oldest);
end $$;
