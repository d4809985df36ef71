-- The overlay half of a node: what the overlay engine tracks, and the index of hosts that grows out of it (BRC-22,
-- BRC-24, BRC-34). Transaction ids are 32 bytes in the order in which they are shown.

-- The newest score of each topic. Its row is locked by whoever admits an output, so scores follow the order of the
-- commits: a host that asks for everything since a score never misses a lower one that became visible later.
create table overlay_topics (
  topic text primary key,
  last_score bigint not null
);

-- The next score of a topic: milliseconds where that still rises, so that it also rises across a restored dump.
create function next_overlay_score(p_topic text, p_now bigint) returns bigint language sql as $$
  insert into overlay_topics as t (topic, last_score) values (p_topic, p_now)
    on conflict (topic) do update set last_score = greatest(t.last_score + 1, p_now)
    returning last_score
$$;

create table overlay_transactions (
  txid bytea primary key check (octet_length(txid) = 32),
  beef bytea not null
);
alter table overlay_transactions alter column beef set storage external;

create table overlay_outputs (
  txid bytea not null references overlay_transactions (txid),
  output_index integer not null,
  topic text not null,
  locking_script bytea not null,
  satoshis bigint not null,
  spent boolean not null default false,
  score bigint not null,
  block_height bigint,
  -- [{txid, outputIndex}]
  outputs_consumed jsonb not null,
  consumed_by jsonb not null,
  primary key (txid, output_index, topic)
);
create unique index overlay_outputs_unspent on overlay_outputs (topic, score) where not spent;

-- What has been judged, and what the answer was: the same transaction again is told the same.
create table overlay_applied_transactions (
  txid bytea not null,
  topic text not null,
  outputs_admitted integer[] not null default '{}',
  coins_removed integer[] not null default '{}',
  primary key (txid, topic)
);

-- How far each peer has been read.
create table overlay_interactions (
  host text not null,
  topic text not null,
  since bigint not null default 0,
  -- another process reads this peer until then
  claimed_until bigint not null default 0,
  primary key (host, topic)
);

-- Transactions made here, and spends of host advertisements, that a peer has not acknowledged yet.
create table overlay_submissions (
  txid bytea not null references overlay_transactions (txid),
  topic text not null,
  peer text not null,
  attempts integer not null default 0,
  next_attempt_at bigint not null,
  last_error text,
  primary key (txid, topic, peer)
);
create index overlay_submissions_due on overlay_submissions (next_attempt_at);

-- A transaction goes when neither an output nor a submission needs it any more.
create function prune_overlay_transaction() returns trigger language plpgsql as $$
begin
  delete from overlay_transactions t
    where t.txid = old.txid
      and not exists (select from overlay_outputs o where o.txid = t.txid)
      and not exists (select from overlay_submissions s where s.txid = t.txid);
  return null;
end $$;
create trigger overlay_outputs_prune after delete on overlay_outputs
  for each row execute function prune_overlay_transaction();
create trigger overlay_submissions_prune after delete on overlay_submissions
  for each row execute function prune_overlay_transaction();

-- Tokens and withdrawals that this node has made, by the day (days since 1970, UTC): each costs its operator a transaction,
-- and anybody can ask for one, so all processes share a ceiling.
create table overlay_mints (
  kind text not null check (kind in ('token', 'withdrawal')),
  day integer not null,
  count integer not null,
  primary key (kind, day)
);

-- Every PHIP token this index has seen. A spent one stays: it shows which texts were ever valid here.
create table phip_tokens (
  txid bytea not null,
  output_index integer not null,
  operator_key bytea not null check (octet_length(operator_key) = 33),
  domain text not null,
  recipient bytea not null check (octet_length(recipient) = 33),
  -- null: every box
  box_expression text,
  -- SHA-256 of `<host key> <domain> <box expression or ALL>`
  authorization_text_digest bytea not null check (octet_length(authorization_text_digest) = 32),
  admitted_at bigint not null,
  spent_at bigint,
  -- missing from its operator's own answer since then
  set_aside_at bigint,
  -- its recipient has withdrawn this text
  withdrawn boolean not null default false,
  primary key (txid, output_index)
);
create index phip_tokens_recipient on phip_tokens (recipient, admitted_at desc) where spent_at is null;
create index phip_tokens_operator on phip_tokens (operator_key, admitted_at desc) where spent_at is null;
create index phip_tokens_held on phip_tokens (operator_key, txid, output_index) where spent_at is null;
create index phip_tokens_text on phip_tokens (recipient, authorization_text_digest);
create index phip_tokens_live on phip_tokens (recipient, operator_key, admitted_at desc)
  where spent_at is null and set_aside_at is null and not withdrawn;

create index phip_tokens_withdrawn on phip_tokens (operator_key) where spent_at is null and withdrawn;

create table phip_withdrawals (
  txid bytea not null,
  output_index integer not null,
  recipient bytea not null check (octet_length(recipient) = 33),
  text text not null,
  text_digest bytea not null check (octet_length(text_digest) = 32),
  admitted_at bigint not null,
  spent_at bigint,
  primary key (txid, output_index),
  -- once per text, for good: else a copy of a withdrawal that its recipient lifted would void his tokens again
  unique (recipient, text_digest)
);

-- Withdrawals listed by a peer, of texts of which no token has been seen here yet.
create table phip_deferred_withdrawals (
  recipient bytea not null,
  text_digest bytea not null,
  txid bytea not null,
  peer text not null,
  beef bytea not null,
  primary key (recipient, text_digest, txid)
);
create index phip_deferred_withdrawals_peer on phip_deferred_withdrawals (peer);

-- One row for every operator this index has ever seen for a recipient. It outlives his tokens: copying or replacing
-- one, or reading everything again from another host, makes him no younger. The last three columns are his newest live
-- token, so that the send path reads a few rows of one index however many tokens there are.
create table phip_hosts (
  recipient bytea not null,
  operator_key bytea not null,
  first_seen bigint not null,
  live boolean not null,
  domain text,
  box_expression text,
  primary key (recipient, operator_key)
);
create index phip_hosts_live on phip_hosts (recipient, first_seen desc, operator_key) where live;

create function refresh_phip_host(p_recipient bytea, p_operator_key bytea, p_first_seen bigint) returns void
language plpgsql as $$
declare
  v_token phip_tokens%rowtype;
  v_live boolean;
begin
  select * into v_token from phip_tokens
    where recipient = p_recipient and operator_key = p_operator_key
      and spent_at is null and set_aside_at is null and not withdrawn
    order by admitted_at desc, txid, output_index
    limit 1;
  v_live := found;
  insert into phip_hosts as h (recipient, operator_key, first_seen, live, domain, box_expression)
    values (p_recipient, p_operator_key, p_first_seen, v_live, v_token.domain, v_token.box_expression)
    on conflict (recipient, operator_key) do update
    set live = excluded.live, domain = excluded.domain, box_expression = excluded.box_expression;
end $$;

create function phip_token_changed() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    perform refresh_phip_host(old.recipient, old.operator_key, old.admitted_at);
  else
    perform refresh_phip_host(new.recipient, new.operator_key, new.admitted_at);
  end if;
  return null;
end $$;
create trigger phip_tokens_host after insert or update or delete on phip_tokens
  for each row execute function phip_token_changed();

-- While a withdrawal is unspent, every token of its recipient with its text is void, copies included.
create function phip_token_withdrawn() returns trigger language plpgsql as $$
begin
  new.withdrawn := exists (
    select from phip_withdrawals w
    where w.recipient = new.recipient and w.text_digest = new.authorization_text_digest and w.spent_at is null
  );
  return new;
end $$;
create trigger phip_tokens_withdrawn before insert on phip_tokens
  for each row execute function phip_token_withdrawn();

create function phip_withdrawal_changed() returns trigger language plpgsql as $$
declare
  v_row phip_withdrawals%rowtype;
  v_withdrawn boolean;
begin
  if tg_op = 'DELETE' then
    v_row := old;
    v_withdrawn := false;
  else
    v_row := new;
    v_withdrawn := new.spent_at is null;
  end if;
  update phip_tokens set withdrawn = v_withdrawn
    where recipient = v_row.recipient and authorization_text_digest = v_row.text_digest
      and withdrawn <> v_withdrawn;
  return null;
end $$;
create trigger phip_withdrawals_tokens after insert or update or delete on phip_withdrawals
  for each row execute function phip_withdrawal_changed();

-- The hosts that take messages for a recipient, newest first, each operator once: this node's own however old it is,
-- and the sixteen newest others.
create function live_hosts(p_recipient bytea)
returns table (operator_key bytea, domain text, box_expression text, first_seen bigint) language sql stable as $$
  select h.operator_key, h.domain, h.box_expression, h.first_seen from (
    (
      select o.operator_key, o.domain, o.box_expression, o.first_seen from phip_hosts o
      where o.recipient = p_recipient and o.live and o.operator_key = (select n.identity_key from node n)
    ) union all (
      select o.operator_key, o.domain, o.box_expression, o.first_seen from phip_hosts o
      where o.recipient = p_recipient and o.live
        and o.operator_key is distinct from (select n.identity_key from node n)
      order by o.first_seen desc, o.operator_key
      limit 16
    )
  ) h
  order by h.first_seen desc, h.operator_key
$$;
