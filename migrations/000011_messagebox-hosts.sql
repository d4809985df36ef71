-- Host advertisements of stock message box clients (tm_messagebox): where somebody reads his message boxes.

-- Every advertisement this index has seen; a spent one stays, so that copying it makes no host younger.
create table messagebox_advertisements (
  txid bytea not null check (octet_length(txid) = 32),
  output_index integer not null,
  recipient bytea not null check (octet_length(recipient) = 33),
  -- as it was signed
  host text not null,
  -- whether that is this node
  here boolean not null,
  domain text not null,
  -- when this index first saw that identity name that host, or saw it done anew in a transaction that the identity signed
  named_at bigint not null,
  admitted_at bigint not null,
  spent_at bigint,
  spent_by bytea,
  primary key (txid, output_index)
);
create index messagebox_advertisements_host on messagebox_advertisements (recipient, md5(host), admitted_at);
create index messagebox_advertisements_live on messagebox_advertisements (recipient, named_at desc) where spent_at is null;

-- Recipients who read elsewhere: they advertised hosts, and none of them is this node. The send path looks here, by key.
create table messagebox_elsewhere (
  recipient bytea primary key,
  -- named last
  host text not null
);

create function refresh_messagebox_elsewhere(p_recipient bytea) returns void language plpgsql as $$
declare
  v_host text;
begin
  if not exists (
    select from messagebox_advertisements where recipient = p_recipient and spent_at is null and here
  ) then
    select host into v_host from messagebox_advertisements
      where recipient = p_recipient and spent_at is null
      order by named_at desc, host limit 1;
  end if;
  if v_host is null then
    delete from messagebox_elsewhere where recipient = p_recipient;
  else
    insert into messagebox_elsewhere as e (recipient, host) values (p_recipient, v_host)
      on conflict (recipient) do update set host = excluded.host where e.host <> excluded.host;
  end if;
end $$;

create function messagebox_advertisement_changed() returns trigger language plpgsql as $$
begin
  perform refresh_messagebox_elsewhere(coalesce(new.recipient, old.recipient));
  return null;
end $$;
create trigger messagebox_advertisements_elsewhere after insert or update or delete on messagebox_advertisements
  for each row execute function messagebox_advertisement_changed();

-- Adds an advertisement that verifies; its recipient must be locked. In a transaction that spends another one of the same
-- recipient it is his word of today: nobody else can spend that. Otherwise it may be an old one that somebody copied.
create function insert_messagebox_advertisement(
  p_txid bytea, p_output_index integer, p_recipient bytea, p_host text, p_domain text, p_here boolean, p_now bigint
) returns void language sql as $$
  insert into messagebox_advertisements (txid, output_index, recipient, host, domain, here, named_at, admitted_at)
  select p_txid, p_output_index, p_recipient, p_host, p_domain, p_here, case
    when exists (select from messagebox_advertisements where recipient = p_recipient and spent_by = p_txid) then p_now
    else coalesce((
      select max(named_at) from messagebox_advertisements
      where recipient = p_recipient and md5(host) = md5(p_host) and host = p_host
    ), p_now)
  end, p_now
  on conflict (txid, output_index) do nothing
$$;

-- The library says in no fixed order what a transaction spends and what it adds.
create function spend_messagebox_advertisement(
  p_txid bytea, p_output_index integer, p_spent_by bytea, p_now bigint
) returns void language sql as $$
  with spent as (
    update messagebox_advertisements set spent_at = p_now, spent_by = p_spent_by
    where txid = p_txid and output_index = p_output_index and spent_at is null
    returning recipient
  )
  update messagebox_advertisements a set named_at = a.admitted_at
  from spent where a.txid = p_spent_by and a.recipient = spent.recipient
$$;
