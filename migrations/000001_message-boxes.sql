-- Message boxes (BRC-33), the envelopes that prove who sent what, and the memory that keeps a request from being
-- played twice. Identity keys are 33 bytes, ids that other hosts share are 32-byte SHA-256 digests, keys that only
-- this database knows are uuid (the first 16 bytes of a SHA-256), times are milliseconds since 1970.

-- The node that owns this database: two nodes on one database would answer for each other's users.
create table node (
  only_row boolean primary key default true check (only_row),
  identity_key bytea not null check (octet_length(identity_key) = 33),
  created_at bigint not null
);

-- A box is created by its first message. Its row is locked by whoever adds a message, so `position` follows the order
-- of the commits: a reader who pages by position never meets a lower one later.
create table message_boxes (
  id bigint generated always as identity primary key,
  recipient bytea not null check (octet_length(recipient) = 33),
  name text not null,
  message_count bigint not null,
  byte_count bigint not null,
  last_position bigint not null,
  unique (recipient, name)
) with (fillfactor = 70);

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
  recipient bytea not null,
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
  -- key in client_message_ids
  id_key uuid,
  -- bytes counted on the box
  bytes integer not null,
  first_seen bigint not null,
  created_at bigint not null,
  expires_at bigint not null,
  primary key (box_id, position)
);
alter table messages alter column body set storage external;
alter table messages alter column payment set storage external;
create unique index messages_shown_id on messages (recipient, shown_id);
create index messages_expires_at on messages (expires_at);

-- Names of messages that this node holds or held. They outlive the message, so that its repeat stays a repeat.
create table message_names (
  recipient bytea not null,
  name bytea not null,
  box_id bigint not null,
  position bigint not null,
  forget_at bigint not null,
  primary key (recipient, name)
);
create index message_names_forget_at on message_names (forget_at);

-- Ids chosen by clients, for as long as a retry can be expected.
-- Key: SHA-256(recipient ‖ sender ‖ JSON.stringify([messageBox, messageId])).
create table client_message_ids (
  id_key uuid primary key,
  body_digest uuid not null,
  sealed boolean not null,
  payment_digest uuid,
  shown_id text not null,
  delivery text not null,
  forget_at bigint not null
);
create index client_message_ids_forget_at on client_message_ids (forget_at);

-- Sealed bodies that somebody sent through this node, so that they can't be reflected to him as another's words.
-- Key: SHA-256(sender ‖ ciphertext).
create table sent_ciphertexts (
  ciphertext_key uuid primary key,
  forget_at bigint not null
);
create index sent_ciphertexts_forget_at on sent_ciphertexts (forget_at);

-- Requests seen, for as long as their session could still be used. Unlogged: after a crash the table is empty, and so is
-- the birth table, whose new row refuses every session issued before it.
create unlogged table seen_requests (
  digest uuid primary key,
  forget_at bigint not null
);
create index seen_requests_forget_at on seen_requests (forget_at);

create unlogged table seen_requests_birth (
  only_row boolean primary key default true check (only_row),
  system_identifier bigint not null,
  born_at bigint not null
);

-- Writes the birth row where it is missing, or belongs to the cluster that this database was restored from.
-- Answers the time before which no session counts.
create function ensure_birth(p_now bigint) returns bigint language plpgsql as $$
declare
  v_system bigint := (select system_identifier from pg_control_system());
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
    where born_at <= p_issued_at and system_identifier = (select system_identifier from pg_control_system())
  ) then
    return 'unknown';
  end if;
  insert into seen_requests (digest, forget_at) values (p_digest, p_forget_at) on conflict do nothing;
  if found then
    return 'fresh';
  end if;
  return 'replayed';
end $$;

-- Gives back one hold of each envelope named (named twice: two holds); the last one deletes it.
create function release_envelopes(p_ids bytea[]) returns void language plpgsql as $$
begin
  delete from envelopes e using (select id, count(*) as n from unnest(p_ids) as id group by id) r
    where e.id = r.id and e.holds <= r.n;
  update envelopes e set holds = e.holds - r.n
    from (select id, count(*) as n from unnest(p_ids) as id group by id) r
    where e.id = r.id;
  -- Two who give back their holds at once both find more than their own: the later one finds nothing left.
  delete from envelopes where id = any (p_ids) and holds <= 0;
end $$;

-- Takes messages out of their boxes. What names them stays.
create function remove_messages(p_box_ids bigint[], p_positions bigint[], p_ids_forget_at bigint) returns bigint
language plpgsql as $$
declare
  v_envelopes bytea[];
  v_id_keys uuid[];
  v_count bigint;
begin
  with removed as (
    delete from messages m using unnest(p_box_ids, p_positions) as r (box_id, position)
    where m.box_id = r.box_id and m.position = r.position
    returning m.box_id, m.bytes, m.envelope_id, m.id_key
  ), counted as (
    update message_boxes b
    set message_count = b.message_count - c.messages, byte_count = b.byte_count - c.bytes
    from (select box_id, count(*) as messages, sum(bytes) as bytes from removed group by box_id) c
    where b.id = c.box_id
  )
  select count(*), array_agg(envelope_id), array_agg(id_key) filter (where id_key is not null)
  into v_count, v_envelopes, v_id_keys from removed;
  if v_count > 0 then
    perform release_envelopes(v_envelopes);
    if v_id_keys is not null then
      update client_message_ids set forget_at = least(forget_at, p_ids_forget_at) where id_key = any (v_id_keys);
    end if;
  end if;
  return v_count;
end $$;

-- BRC-33 /acknowledgeMessage: deletes the recipient's messages of these shown ids, whatever box they are in.
create function acknowledge_messages(
  p_digest uuid, p_issued_at bigint, p_forget_at bigint,
  p_recipient bytea, p_ids text[], p_ids_forget_at bigint
) returns table (verdict text, acknowledged bigint) language plpgsql as $$
declare
  v_box_ids bigint[];
  v_positions bigint[];
begin
  verdict := admit_request(p_digest, p_issued_at, p_forget_at);
  acknowledged := 0;
  if verdict = 'fresh' then
    select array_agg(box_id), array_agg(position) into v_box_ids, v_positions
    from messages where recipient = p_recipient and shown_id = any (p_ids);
    if v_box_ids is not null then
      -- boxes in the order of their ids, as everybody locks them
      perform from message_boxes where id = any (v_box_ids) order by id for update;
      acknowledged := remove_messages(v_box_ids, v_positions, p_ids_forget_at);
    end if;
  end if;
  return next;
end $$;

-- Deletes at most p_limit rows of each kind that nobody needs any more; answers how many there were.
create function prune_message_boxes(p_now bigint, p_limit integer) returns bigint language plpgsql as $$
declare
  v_total bigint := 0;
  v_count bigint;
  v_box_ids bigint[];
  v_positions bigint[];
begin
  select array_agg(box_id), array_agg(position) into v_box_ids, v_positions
  from (select box_id, position from messages where expires_at <= p_now order by expires_at limit p_limit) m;
  if v_box_ids is not null then
    perform from message_boxes where id = any (v_box_ids) order by id for update;
    -- When a sealed message was first seen is a stranger's word: one who lets it expire early must not keep it from coming
    -- again with a later statement or a proof.
    delete from message_names n using unnest(v_box_ids, v_positions) as e (box_id, position), messages m
      where m.box_id = e.box_id and m.position = e.position and m.origin = 'sealed'
        and n.recipient = m.recipient and n.name = m.name;
    v_total := v_total + remove_messages(v_box_ids, v_positions, p_now);
  end if;


  delete from message_names where (recipient, name) in
    (select recipient, name from message_names where forget_at <= p_now order by forget_at limit p_limit);
  get diagnostics v_count = row_count; v_total := v_total + v_count;
  delete from client_message_ids where id_key in
    (select id_key from client_message_ids where forget_at <= p_now order by forget_at limit p_limit);
  get diagnostics v_count = row_count; v_total := v_total + v_count;
  delete from sent_ciphertexts where ciphertext_key in
    (select ciphertext_key from sent_ciphertexts where forget_at <= p_now order by forget_at limit p_limit);
  get diagnostics v_count = row_count; v_total := v_total + v_count;
  delete from seen_requests where digest in
    (select digest from seen_requests where forget_at <= p_now order by forget_at limit p_limit);
  get diagnostics v_count = row_count; v_total := v_total + v_count;
  return v_total;
end $$;
