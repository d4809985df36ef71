-- Message boxes (BRC-33), the envelopes that prove who sent what, and the memory that keeps a request from being
-- played twice. Identity keys are 33 bytes, ids that other hosts share are 32-byte SHA-256 digests, keys that only
-- this database knows are uuid (the first 16 bytes of a SHA-256), times are milliseconds since 1970.

-- The node that owns this database: two nodes on one database would answer for each other's users.
create table node (
  only_row boolean primary key default true check (only_row),
  identity_key bytea not null check (octet_length(identity_key) = 33),
  created_at bigint not null
);

-- Everybody for whom messages are or were here. Whoever puts a message into a box of his, takes one out or changes one locks
-- this row first, several in the order of their keys. So `last_position` follows the order of the commits (a reader who pages
-- by position never meets a lower one later), what is judged of names, ids and quotas holds until the commit, and the counts
-- are exact.
create table recipients (
  id bigint generated always as identity primary key,
  identity_key bytea not null unique check (octet_length(identity_key) = 33),
  last_position bigint not null default 0,
  message_count bigint not null default 0,
  byte_count bigint not null default 0,
  -- sealed messages that other hosts handed on have an allowance of their own
  sealed_count bigint not null default 0,
  sealed_bytes bigint not null default 0,
  -- rows in message_boxes, empty ones too
  box_count integer not null default 0,
  -- message_counts speaks of senders too
  counts_senders boolean not null default false
) with (fillfactor = 70);

-- A box is created by its first message. An empty one stays until its recipient has no place for another.
create table message_boxes (
  id bigint generated always as identity primary key,
  recipient bytea not null check (octet_length(recipient) = 33),
  name text not null,
  unique (recipient, name)
);

-- How many messages of one recipient came from one host (sealed) or one sender (all others). Senders are counted only once
-- a recipient has as many messages as one of them may send him: before that nobody can have sent too many.
create table message_counts (
  recipient_id bigint not null,
  sealed boolean not null,
  source bytea not null,
  messages bigint not null,
  primary key (recipient_id, sealed, source)
) with (fillfactor = 70);

-- What may wait for one recipient.
create type quotas as (
  messages bigint,
  -- sealed ones apart, as many again
  bytes bigint,
  messages_of_sender bigint,
  boxes integer,
  sealed_messages bigint,
  sealed_messages_of_host bigint
);

-- One authenticated /sendMessage request exactly as its sender signed it (protocol sections 1 and 4).
create table envelopes (
  id bytea primary key check (octet_length(id) = 32),
  sender bytea not null check (octet_length(sender) = 33),
  format text not null check (format in ('brc104', 'brc103', 'authrite')),
  key_id text not null,
  signed_bytes bytea not null,
  signature bytea not null,
  -- BRC-69 offset as the forwarding host stated it; null where this node authenticated the sender and can compute it
  key_linkage bytea,
  -- senderAuthorization and hostAttestation as they came from another host
  proof jsonb,
  -- when a host authenticated the request
  received_at bigint not null,
  -- the signed bytes hold an authorization header, which no other host may see
  withheld boolean not null,
  -- messages and unfinished deliveries that still need this row; the last one takes it along
  holds integer not null
);
alter table envelopes alter column signed_bytes set storage external;

create table messages (
  box_id bigint not null,
  position bigint not null,
  recipient_id bigint not null,
  -- the same on every host (protocol section 2)
  name bytea not null,
  -- what lists and acknowledgements call it: the client's id, or the digits of the public integer
  shown_id text not null,
  sender bytea not null,
  body bytea not null,
  -- the body parses to an object with a member "message": stock clients would read that member for the body
  wrapped boolean not null,
  payment bytea,
  envelope_id bytea not null,
  origin text not null check (origin in ('local', 'signature', 'home-host', 'sealed')),
  -- {signature, createdAt, messageId}, where the sender signed the message itself
  proof jsonb,
  -- can be handed to another host: it has a proof of origin other than the node's own memory
  forwardable boolean not null,
  -- true where this node only keeps the message until a home host of the recipient appears
  parked boolean not null,
  -- key of the client's id, as in client_message_ids; null if it chose none, or one that another message has
  id_key uuid,
  payment_digest uuid,
  -- the body is encrypted end to end, whatever the origin
  sealed boolean not null,
  -- the host that handed a message of the origin sealed on
  handed_on_by bytea,
  -- bytes counted
  bytes integer not null,
  first_seen bigint not null,
  created_at bigint not null,
  expires_at bigint not null,
  primary key (box_id, position)
);
alter table messages alter column body set storage external;
alter table messages alter column payment set storage external;
-- The recipient comes last: Postgres may keep a plan that it made for an empty table, where an index that begins with him
-- looks as good for the other search, and reads all he has. All messages of one recipient are found by his boxes.
create unique index messages_name on messages (name, recipient_id);
create unique index messages_shown_id on messages (shown_id, recipient_id);
create unique index messages_id_key on messages (id_key) where id_key is not null;
create index messages_expires_at on messages (expires_at);

-- Names of messages that left their box, so that a repeat stays a repeat.
create table message_names (
  recipient_id bigint not null,
  name bytea not null,
  forget_at bigint not null,
  primary key (recipient_id, name)
);
create index message_names_forget_at on message_names (forget_at);

-- Whether this node holds a message of this name, or held it and still knows.
create function is_name_known(p_recipient_id bigint, p_name bytea) returns boolean
language plpgsql stable as $$
begin
  return exists (select from messages m where m.recipient_id = p_recipient_id and m.name = p_name)
    or exists (select from message_names n where n.recipient_id = p_recipient_id and n.name = p_name);
end $$;

-- Ids chosen by clients, for as long as a retry can be expected, of messages that are in no box here: on their way to other
-- hosts, or acknowledged. Key: SHA-256(recipient ‖ sender ‖ JSON.stringify([messageBox, messageId])).
create table client_message_ids (
  id_key uuid primary key,
  -- null where it is sealed: then bodies are not compared
  body_digest uuid,
  sealed boolean not null,
  payment_digest uuid,
  shown_id text not null,
  delivery text not null,
  forget_at bigint not null
);
create index client_message_ids_forget_at on client_message_ids (forget_at);

-- Sealed bodies of which this node knows who sent them: he sent them through it, or they came with a proof. So they can't
-- be reflected to him as another's words, nor put into another box by whoever saw them.
-- Key: SHA-256(sender ‖ ciphertext).
create table sent_ciphertexts (
  ciphertext_key uuid primary key,
  -- the first one that he sent it to
  message_box text not null,
  forget_at bigint not null
);
create index sent_ciphertexts_forget_at on sent_ciphertexts (forget_at);

-- Half of a SHA-256, as row keys are made (src/names.ts).
create function digest_of(p_bytes bytea) returns uuid language sql immutable as $$
  select encode(substr(sha256(p_bytes), 1, 16), 'hex')::uuid
$$;

-- Requests seen, for as long as their session could still be used. Unlogged: after a crash the tables are empty, and so is
-- the birth table, whose new row refuses every session issued before it. One table for each hour in which sessions end,
-- emptied as a whole when it is over and used again four hours later; a session lasts one hour and five minutes at most.
create table seen_requests (
  digest uuid not null,
  slot smallint not null,
  primary key (slot, digest)
) partition by list (slot);
create unlogged table seen_requests_0 partition of seen_requests for values in (0);
create unlogged table seen_requests_1 partition of seen_requests for values in (1);
create unlogged table seen_requests_2 partition of seen_requests for values in (2);
create unlogged table seen_requests_3 partition of seen_requests for values in (3);

-- Sessions of Authrite last for 90 days, and their clients never begin another: what they send is remembered in logged
-- tables, one for each 30 days in which sessions end, used again 180 days later.
create table seen_requests_4 partition of seen_requests for values in (4);
create table seen_requests_5 partition of seen_requests for values in (5);
create table seen_requests_6 partition of seen_requests for values in (6);
create table seen_requests_7 partition of seen_requests for values in (7);
create table seen_requests_8 partition of seen_requests for values in (8);
create table seen_requests_9 partition of seen_requests for values in (9);

-- Which of them remembers a request. 2^53 - 1 for the time of issue is said of sessions whose memory is logged: it reaches
-- back to all of them (REMEMBERED_FOR_GOOD, src/auth/caller.ts).
create function seen_slot(p_issued_at bigint, p_forget_at bigint) returns smallint language sql immutable as $$
  select case
    when p_issued_at < 9007199254740991 then p_forget_at / 3600000 % 4
    else 4 + p_forget_at / 2592000000 % 6
  end::smallint
$$;

create unlogged table seen_requests_birth (
  only_row boolean primary key default true check (only_row),
  system_identifier bigint not null,
  born_at bigint not null
);

-- The cluster that this connection talks to. It cannot change during a connection, so plans may hold it as a constant:
-- reading it opens a file.
create function own_system_identifier() returns bigint language plpgsql immutable as $$
begin
  return (select system_identifier from pg_control_system());
end $$;

-- Writes the birth row where it is missing, or belongs to the cluster that this database was restored from.
-- Answers the time before which no session counts.
create function ensure_birth(p_now bigint) returns bigint language plpgsql as $$
declare
  v_system bigint := own_system_identifier();
  v_born bigint;
begin
  select born_at into v_born from seen_requests_birth where system_identifier = v_system;
  if v_born is not null then
    return v_born;
  end if;
  insert into seen_requests_birth as b (system_identifier, born_at) values (v_system, p_now)
    on conflict (only_row) do update
    set system_identifier = excluded.system_identifier, born_at = excluded.born_at
    where b.system_identifier <> excluded.system_identifier;
  return (select born_at from seen_requests_birth);
end $$;

-- 'fresh', and the request is remembered; 'replayed'; or 'unknown': its session is older than the memory.
create function admit_request(p_digest uuid, p_issued_at bigint, p_forget_at bigint) returns text
language plpgsql as $$
begin
  if not exists (
    select from seen_requests_birth
    where only_row and born_at <= p_issued_at and system_identifier = own_system_identifier()
  ) then
    return 'unknown';
  end if;
  insert into seen_requests (digest, slot) values (p_digest, seen_slot(p_issued_at, p_forget_at)) on conflict do nothing;
  if found then
    return 'fresh';
  end if;
  return 'replayed';
end $$;

-- Locks a recipient's row, made if there is none: the latest version of it. One that got no message must be deleted before
-- the commit: delete_unused_recipients.
create function lock_recipient(p_key bytea) returns recipients language plpgsql as $$
declare
  v_recipient recipients;
begin
  loop
    select * into v_recipient from recipients where identity_key = p_key for no key update;
    if found then
      return v_recipient;
    end if;
    insert into recipients (identity_key) values (p_key) on conflict do nothing returning * into v_recipient;
    if found then
      return v_recipient;
    end if;
  end loop;
end $$;

create function delete_unused_recipients(p_keys bytea[]) returns void language plpgsql as $$
begin
  delete from recipients where identity_key = any (p_keys) and last_position = 0;
end $$;

-- Gives back one hold of each envelope named (named twice: two holds); the last one deletes it.
create function release_envelopes(p_ids bytea[]) returns void language plpgsql as $$
declare
  v_deleted bigint;
begin
  delete from envelopes e using (select id, count(*) as n from unnest(p_ids) as id group by id) r
    where e.id = r.id and e.holds <= r.n;
  get diagnostics v_deleted = row_count;
  if v_deleted = cardinality(p_ids) then
    return;
  end if;
  update envelopes e set holds = e.holds - r.n
    from (select id, count(*) as n from unnest(p_ids) as id group by id) r
    where e.id = r.id;
  -- Two who give back their holds at once both find more than their own: the later one finds nothing left.
  delete from envelopes where id = any (p_ids) and holds <= 0;
end $$;

-- The settings of this and other functions below make plans that hold for tables of any size: index by index, made once
-- for a connection, whatever was known of the tables then.

-- Takes messages out of their boxes, and out of all counts; their recipients must be locked. Answers the envelopes that they
-- held, once for each, for the caller to release or to go on holding.
--
-- p_forget_after: names are remembered this long after the message would have expired; null forgets them.
-- p_ids_forget_at: until when ids chosen by clients are remembered; null forgets them.
create function take_messages(p_box_ids bigint[], p_positions bigint[], p_forget_after bigint, p_ids_forget_at bigint)
returns bytea[] language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_envelopes bytea[];
  v_recipients bigint[];
  v_guests boolean[];
  v_sources bytea[];
begin
  with taken as (
    delete from messages m using unnest(p_box_ids, p_positions) as t (box_id, position)
    where m.box_id = t.box_id and m.position = t.position
    returning m.recipient_id, m.name, m.bytes, m.origin = 'sealed' as is_guest,
      case when m.origin = 'sealed' then m.handed_on_by else m.sender end as source, m.envelope_id, m.expires_at,
      m.id_key, m.payment_digest, m.shown_id, m.sealed, m.parked,
      case when m.id_key is not null and not m.sealed and p_ids_forget_at is not null then digest_of(m.body) end as body_digest
  ), named as (
    insert into message_names (recipient_id, name, forget_at)
    select recipient_id, name, expires_at + p_forget_after from taken where p_forget_after is not null
    on conflict do nothing
  ), remembered as (
    insert into client_message_ids (id_key, body_digest, sealed, payment_digest, shown_id, delivery, forget_at)
    select id_key, body_digest, sealed, payment_digest, shown_id, case when parked then 'parked' else 'local' end,
      p_ids_forget_at
    from taken where id_key is not null and p_ids_forget_at is not null
    on conflict (id_key) do update set
      body_digest = excluded.body_digest, sealed = excluded.sealed, payment_digest = excluded.payment_digest,
      shown_id = excluded.shown_id, delivery = excluded.delivery, forget_at = excluded.forget_at
  ), counted as (
    update recipients r set
      message_count = r.message_count - t.messages, byte_count = r.byte_count - t.bytes,
      sealed_count = r.sealed_count - t.guests, sealed_bytes = r.sealed_bytes - t.guest_bytes,
      counts_senders = r.counts_senders and r.message_count > t.messages
    from (
      select recipient_id, count(*) filter (where not is_guest) as messages, count(*) filter (where is_guest) as guests,
        coalesce(sum(bytes) filter (where not is_guest), 0)::bigint as bytes,
        coalesce(sum(bytes) filter (where is_guest), 0)::bigint as guest_bytes
      from taken group by recipient_id
    ) t where r.id = t.recipient_id
  ), sources as (
    update message_counts c set messages = c.messages - t.messages
    from (select recipient_id, is_guest, source, count(*) as messages from taken group by 1, 2, 3) t
    where c.recipient_id = t.recipient_id and c.sealed = t.is_guest and c.source = t.source
    returning c.recipient_id, c.sealed, c.source, c.messages
  )
  select (select array_agg(envelope_id) from taken), array_agg(recipient_id), array_agg(sealed), array_agg(source)
  into v_envelopes, v_recipients, v_guests, v_sources from sources where messages <= 0;
  if v_recipients is not null then
    delete from message_counts c using unnest(v_recipients, v_guests, v_sources) u (recipient_id, is_guest, source)
      where c.recipient_id = u.recipient_id and c.sealed = u.is_guest and c.source = u.source and c.messages <= 0;
  end if;
  return v_envelopes;
end $$;

-- BRC-33 /acknowledgeMessage: deletes the recipient's messages of these shown ids, whatever box they are in, and plans what
-- his other hosts are told, if he has any. Several requests at once, in ascending order of their recipients; p_requests
-- says whose an id is, counted from 1. `domains` are to be nudged.
create function acknowledge_messages(
  p_digests uuid[], p_issued_at bigint[], p_forget_at bigint[], p_recipients bytea[],
  p_ids text[], p_requests integer[], p_forget_after bigint, p_ids_forget_at bigint,
  p_self bytea, p_now bigint, p_remember_until bigint
) returns table (verdict text, acknowledged bigint, domains text[])
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_fresh uuid[];
  v_owners integer[];
  v_box_ids bigint[];
  v_positions bigint[];
  v_names bytea[];
  v_step record;
  v_told_requests integer[];
  v_told_domains text[];
begin
  perform from recipients where identity_key = any (p_recipients) order by identity_key for no key update;
  with admitted as (
    insert into seen_requests (digest, slot)
    select a.digest, seen_slot(a.issued_at, a.forget_at) from unnest(p_digests, p_issued_at, p_forget_at) a (digest, issued_at, forget_at)
    where a.issued_at >= (select born_at from seen_requests_birth where only_row and system_identifier = own_system_identifier())
    on conflict do nothing
    returning digest
  ), found as (
    select distinct on (m.box_id, m.position) m.box_id, m.position, m.name, i.request
    from unnest(p_ids, p_requests) i (id, request)
    join recipients r on r.identity_key = p_recipients[i.request]
    join messages m on m.recipient_id = r.id and m.shown_id = i.id
    where p_digests[i.request] in (select digest from admitted)
    order by m.box_id, m.position, i.request
  )
  select (select array_agg(digest) from admitted), array_agg(request), array_agg(box_id), array_agg(position),
    array_agg(name)
  into v_fresh, v_owners, v_box_ids, v_positions, v_names from found;
  if v_box_ids is not null then
    perform release_envelopes(take_messages(v_box_ids, v_positions, p_forget_after, p_ids_forget_at));
  end if;
  -- Who has other hosts, or messages that one of them has hidden here: few.
  for v_step in
    select s.request, t.hidden, t.domains from (
      select a.request::integer as request, a.recipient from unnest(p_recipients) with ordinality a (recipient, request)
      where p_digests[a.request] = any (v_fresh) and (
        exists (select from phip_hosts h where h.recipient = a.recipient and h.live and h.operator_key <> p_self)
        or exists (select from hidden_messages h where h.recipient = a.recipient)
      )
    ) s cross join lateral spread_acknowledgement(
      s.recipient,
      array(select i.id from unnest(p_ids, p_requests) i (id, request) where i.request = s.request),
      array(select f.name from unnest(v_names, v_owners) f (name, request) where f.request = s.request),
      p_self, p_now, p_remember_until
    ) t
  loop
    v_owners := v_owners || array_fill(v_step.request, array[v_step.hidden]);
    v_told_requests := v_told_requests || array_fill(v_step.request, array[coalesce(cardinality(v_step.domains), 0)]);
    v_told_domains := v_told_domains || v_step.domains;
  end loop;
  return query
    select case
      when a.digest = any (v_fresh) then 'fresh'
      when a.issued_at >= (select born_at from seen_requests_birth where only_row and system_identifier = own_system_identifier())
        then 'replayed'
      else 'unknown'
    end, (select count(*) from unnest(v_owners) owner where owner = a.request),
    (select array_agg(t.domain) from unnest(v_told_requests, v_told_domains) t (request, domain) where t.request = a.request)
    from unnest(p_digests, p_issued_at) with ordinality a (digest, issued_at, request)
    order by a.request;
end $$;

-- Deletes at most p_limit rows of each kind that nobody needs any more; answers how many there were.
create function prune_message_boxes(p_now bigint, p_limit integer, p_forget_after bigint) returns bigint
language plpgsql as $$
declare
  v_total bigint := 0;
  v_count bigint;
  v_recipients bigint[];
  v_kept_names boolean;
  v_box_ids bigint[];
  v_positions bigint[];
  -- As sessions are timed: never before the memory began.
  v_session_now bigint := greatest(p_now, (select born_at from seen_requests_birth));
  v_slot smallint;
begin
  -- Two who prune at once would only wait for each other.
  if not pg_try_advisory_xact_lock(33) then
    return 0;
  end if;
  select array_agg(distinct recipient_id) into v_recipients
  from (select recipient_id from messages where expires_at <= p_now order by expires_at limit p_limit) m;
  if v_recipients is not null then
    perform from recipients where id = any (v_recipients) order by identity_key for no key update;
    -- When a sealed message was first seen is a stranger's word: one who lets it expire early must not keep it from coming
    -- again with a later statement or a proof.
    for v_kept_names, v_box_ids, v_positions in
      select origin <> 'sealed', array_agg(box_id), array_agg(position) from (
        select origin, box_id, position from messages
        where expires_at <= p_now and recipient_id = any (v_recipients) order by expires_at limit p_limit
      ) m group by 1
    loop
      perform release_envelopes(
        take_messages(v_box_ids, v_positions, case when v_kept_names then p_forget_after end, null)
      );
      v_total := v_total + cardinality(v_box_ids);
    end loop;
  end if;

  with forgotten as (
    delete from message_names where (recipient_id, name) in
      (select recipient_id, name from message_names where forget_at <= p_now order by forget_at limit p_limit)
    returning recipient_id
  )
  select count(*), v_recipients || array_agg(distinct recipient_id) into v_count, v_recipients from forgotten;
  v_total := v_total + v_count;
  -- Who has nothing here any more, and of whom nothing is remembered, goes with his boxes.
  with gone as (
    delete from recipients r where r.id = any (v_recipients) and r.message_count = 0 and r.sealed_count = 0
      and not exists (select from message_names n where n.recipient_id = r.id)
    returning r.identity_key
  )
  delete from message_boxes b using gone where b.recipient = gone.identity_key;
  delete from client_message_ids where id_key in
    (select id_key from client_message_ids where forget_at <= p_now order by forget_at limit p_limit);
  get diagnostics v_count = row_count; v_total := v_total + v_count;
  delete from sent_ciphertexts where ciphertext_key in
    (select ciphertext_key from sent_ciphertexts where forget_at <= p_now order by forget_at limit p_limit);
  get diagnostics v_count = row_count; v_total := v_total + v_count;
  -- Ten minutes late, for those whose clock is behind.
  foreach v_slot in array array[
    seen_slot(0, v_session_now - 4200000), seen_slot(9007199254740991, v_session_now - 2592600000)
  ] loop
    if pg_relation_size(format('seen_requests_%s', v_slot)::regclass) > 0 then
      execute format('truncate seen_requests_%s', v_slot);
    end if;
  end loop;
  return v_total;
end $$;
