-- Keeping the hosts of a recipient in step (protocol section 6): acknowledgements, the log of statements that hosts pass on
-- to each other, and what is hidden because a host said so. Permissions travel in the same log (000008).

-- What this node passes on beside messages, under a portable signature of whoever says it. Stored once, delivered to each
-- other host of the recipient.
create table statements (
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('acknowledgement', 'permission')),
  recipient bytea not null,
  -- the recipient, or one of his hosts
  signer bytea not null,
  -- base64; null: this node's own word, which it signs when it passes it on
  signature text,
  -- acknowledgements: of messages, as signed
  names bytea[] not null,
  -- permissions: of one rule the latest only
  message_box text,
  sender bytea,
  recipient_fee bigint,
  set_at bigint,
  forget_at bigint not null
);
create unique index statements_permission on statements (recipient, message_box, sender) where kind = 'permission';
create unique index statements_signature on statements (recipient, md5(signature)) where signature is not null;
create index statements_signer on statements (recipient, signer, id)
  where signature is not null and kind = 'acknowledgement';
create index statements_forget_at on statements (forget_at);

-- A statement that must still reach a host; the row goes when it has, or when the host said no.
create table statement_deliveries (
  id bigint generated always as identity primary key,
  statement_id bigint not null references statements (id) on delete cascade,
  domain text not null,
  host_key bytea not null,
  recipient bytea not null,
  attempts integer not null default 0,
  next_attempt_at bigint not null,
  -- as in deliveries
  claim bigint,
  claimed_until bigint,
  created_at bigint not null,
  unique (statement_id, host_key)
);
create index statement_deliveries_domain on statement_deliveries (domain, id);

-- Messages taken out of their boxes because a host of the recipient said that he acknowledged them. They are kept until
-- they would have expired, in no quota but this table's own. Each holds its envelope; its name stays in message_names.
create table hidden_messages (
  id bigint generated always as identity primary key,
  recipient bytea not null,
  name bytea not null,
  message_box text not null,
  shown_id text not null,
  sender bytea not null,
  body bytea not null,
  wrapped boolean not null,
  payment bytea,
  envelope_id bytea not null,
  origin text not null,
  proof jsonb,
  bytes integer not null,
  created_at bigint not null,
  expires_at bigint not null,
  hidden_by bytea not null,
  statement_id bigint not null,
  unique (recipient, name)
);
alter table hidden_messages alter column body set storage external;
create index hidden_messages_shown_id on hidden_messages (recipient, shown_id);
create index hidden_messages_box on hidden_messages (recipient, message_box, id);
create index hidden_messages_recipient on hidden_messages (recipient, id);
create index hidden_messages_expires_at on hidden_messages (expires_at);

-- Acknowledgements that came before their messages. At most 10,000 of each recipient and forwarder; the oldest give way.
create table early_acknowledgements (
  name bytea not null,
  recipient bytea not null,
  -- the recipient, or one of his hosts
  signer bytea not null,
  forwarder bytea not null,
  statement_id bigint not null,
  remembered_at bigint not null,
  forget_at bigint not null,
  primary key (name, recipient)
);
create index early_acknowledgements_forwarder on early_acknowledgements (recipient, forwarder, remembered_at);
create index early_acknowledgements_forget_at on early_acknowledgements (forget_at);

-- Hosts that have been told what was acknowledged here before they became hosts of the recipient.
create table told_hosts (
  recipient bytea not null,
  host_key bytea not null,
  primary key (recipient, host_key)
);

-- The functions that know how messages are kept.

-- Messages of a recipient that stand in his boxes, by the ids shown or by their names. Locks him: they stand there until the
-- commit.
create function held_messages(p_recipient bytea, p_ids text[], p_names bytea[])
returns table (box_id bigint, "position" bigint, name bytea) language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_recipient_id bigint;
begin
  select r.id into v_recipient_id from recipients r where r.identity_key = p_recipient for no key update;
  return query
    select m.box_id, m.position, m.name from messages m
      where m.recipient_id = v_recipient_id and m.shown_id = any (p_ids)
    union
    select m.box_id, m.position, m.name from messages m
      where m.recipient_id = v_recipient_id and m.name = any (p_names);
end $$;

-- Takes messages of a recipient out of their boxes for good; answers their names.
create function delete_messages(
  p_recipient bytea, p_ids text[], p_names bytea[], p_forget_after bigint, p_ids_forget_at bigint
) returns bytea[] language plpgsql as $$
declare
  v_box_ids bigint[];
  v_positions bigint[];
  v_names bytea[];
begin
  select array_agg(h.box_id), array_agg(h.position), array_agg(h.name) into v_box_ids, v_positions, v_names
    from held_messages(p_recipient, p_ids, p_names) h;
  if v_names is not null then
    perform release_envelopes(take_messages(v_box_ids, v_positions, p_forget_after, p_ids_forget_at));
  end if;
  return v_names;
end $$;

-- Takes messages out of their boxes on the word of a host. What is only parked here is none of its business.
create function hide_messages(
  p_recipient bytea, p_names bytea[], p_hidden_by bytea, p_statement_id bigint, p_forget_after bigint, p_ids_forget_at bigint
) returns bigint language plpgsql as $$
declare
  v_box_ids bigint[];
  v_positions bigint[];
  v_envelopes bytea[];
begin
  with hidden as (
    insert into hidden_messages (
      recipient, name, message_box, shown_id, sender, body, wrapped, payment, envelope_id, origin, proof, bytes,
      created_at, expires_at, hidden_by, statement_id
    )
    select p_recipient, m.name, b.name, m.shown_id, m.sender, m.body, m.wrapped, m.payment, m.envelope_id, m.origin,
      m.proof, m.bytes, m.created_at, m.expires_at, p_hidden_by, p_statement_id
    from held_messages(p_recipient, '{}', p_names) h
    join messages m on m.box_id = h.box_id and m.position = h.position
    join message_boxes b on b.id = m.box_id
    where not m.parked
    order by m.created_at, m.position
    on conflict (recipient, name) do nothing
    returning name
  )
  select array_agg(m.box_id), array_agg(m.position) into v_box_ids, v_positions
    from hidden h join recipients r on r.identity_key = p_recipient
    join messages m on m.recipient_id = r.id and m.name = h.name;
  if v_box_ids is null then
    return 0;
  end if;
  -- What they held of their envelopes is held on.
  perform take_messages(v_box_ids, v_positions, p_forget_after, p_ids_forget_at);
  with surplus as (
    delete from hidden_messages where id in (
      select id from hidden_messages where recipient = p_recipient order by id desc offset 10000
    )
    returning envelope_id
  )
  select array_agg(envelope_id) into v_envelopes from surplus;
  if v_envelopes is not null then
    perform release_envelopes(v_envelopes);
  end if;
  return cardinality(v_box_ids);
end $$;

-- Which of these names this node knows, of messages that it holds or held.
create function known_names(p_recipient bytea, p_names bytea[]) returns bytea[] language sql stable as $$
  select array(
    select n from recipients r cross join unnest(p_names) n where r.identity_key = p_recipient and is_name_known(r.id, n)
  )
$$;

-- Names of what this node held for a recipient and he has acknowledged here, the latest first: what is gone before it
-- would have expired, and not merely hidden.
create function acknowledged_names(
  p_recipient bytea, p_names bytea[], p_now bigint, p_forget_after bigint, p_limit integer
) returns table (name bytea) language sql stable as $$
  select n.name from recipients r join message_names n on n.recipient_id = r.id
  where r.identity_key = p_recipient and (p_names is null or n.name = any (p_names))
    and n.forget_at > p_now + p_forget_after
    and not exists (select from hidden_messages h where h.recipient = p_recipient and h.name = n.name)
  order by n.forget_at desc limit p_limit
$$;

-- How many messages a recipient has here, and a text that is another one once a message has come or gone.
create function contents_version(p_recipient bytea) returns table (messages bigint, version text)
language sql stable as $$
  select r.message_count + r.sealed_count, r.last_position || ' ' || r.message_count + r.sealed_count
  from recipients r where r.identity_key = p_recipient
$$;

-- Names of a recipient's messages that another host can be given, ascending, from p_from (included) to p_until (excluded;
-- null: to the end), with SHA-256(recipient ‖ name) of each. p_boxes null: of all boxes.
create function shared_names(
  p_recipient bytea, p_from bytea, p_until bytea, p_boxes text[], p_expires_after bigint, p_limit integer
) returns table (names bytea, digests bytea) language sql stable as $$
  select coalesce(string_agg(s.name, ''::bytea order by s.name), ''),
    coalesce(string_agg(sha256(p_recipient || s.name), ''::bytea order by s.name), '')
  from (
    select m.name from recipients r join messages m on m.recipient_id = r.id
    where r.identity_key = p_recipient
      and (p_boxes is null or (select b.name from message_boxes b where b.id = m.box_id) = any (p_boxes))
      and m.name >= p_from and (p_until is null or m.name < p_until)
      and m.expires_at > p_expires_after and not m.parked
      and (m.forwardable or (m.origin = 'local' and exists (
        select from sender_authorizations a
        where a.sender = m.sender and a.given - 600000 <= m.created_at and a.expires >= m.created_at
      ) and not (select e.withheld from envelopes e where e.id = m.envelope_id)))
    order by m.name limit p_limit
  ) s
$$;

-- Takes hidden messages of a recipient out for good; answers their names.
create function delete_hidden_messages(p_recipient bytea, p_ids text[], p_names bytea[]) returns bytea[]
language plpgsql as $$
declare
  v_names bytea[];
  v_envelopes bytea[];
begin
  with removed as (
    delete from hidden_messages where recipient = p_recipient and (shown_id = any (p_ids) or name = any (p_names))
    returning name, envelope_id
  )
  select array_agg(name), array_agg(envelope_id) into v_names, v_envelopes from removed;
  if v_envelopes is not null then
    perform release_envelopes(v_envelopes);
  end if;
  return v_names;
end $$;

-- Stores an acknowledgement, once per signature; of one signer the latest thousand about a recipient stay.
create function keep_statement(
  p_recipient bytea, p_signer bytea, p_signature text, p_names bytea[], p_forget_at bigint
) returns bigint language plpgsql as $$
declare
  v_id bigint;
begin
  insert into statements (kind, recipient, signer, signature, names, forget_at)
    values ('acknowledgement', p_recipient, p_signer, p_signature, p_names, p_forget_at)
    on conflict (recipient, md5(signature)) where signature is not null do nothing
    returning id into v_id;
  if v_id is null then
    return (select id from statements where recipient = p_recipient and md5(signature) = md5(p_signature));
  end if;
  if p_signature is not null then
    delete from statements where id in (
      select id from statements
      where recipient = p_recipient and signer = p_signer and signature is not null and kind = 'acknowledgement'
      order by id desc offset 1000
    );
  end if;
  return v_id;
end $$;

-- Plans a statement for the other hosts of its recipient; answers the domains to nudge.
create function pass_on_statement(p_id bigint, p_recipient bytea, p_self bytea, p_now bigint) returns text[]
language sql as $$
  with planned as (
    insert into statement_deliveries (statement_id, domain, host_key, recipient, next_attempt_at, created_at)
    select p_id, h.domain, h.operator_key, p_recipient, p_now, p_now
    from live_hosts(p_recipient) h where h.operator_key <> p_self
    -- as many as may have been given a message
    order by h.first_seen desc limit 8
    on conflict (statement_id, host_key) do nothing
    returning domain
  )
  select array_agg(distinct domain) from planned
$$;

-- Remembers what came before its message. Answers how many names that were.
create function remember_acknowledgement(
  p_recipient bytea, p_names bytea[], p_signer bytea, p_forwarder bytea, p_statement_id bigint, p_now bigint,
  p_forget_at bigint
) returns bigint language plpgsql as $$
declare
  v_count bigint;
begin
  insert into early_acknowledgements as e (
    name, recipient, signer, forwarder, statement_id, remembered_at, forget_at
  )
  select distinct n, p_recipient, p_signer, p_forwarder, p_statement_id, p_now, p_forget_at
    from unnest(p_names) n
    where not n = any (known_names(p_recipient, p_names))
    order by n
    -- the recipient's own word says more than that of a host
    on conflict (name, recipient) do update set
      signer = excluded.signer, forwarder = excluded.forwarder, statement_id = excluded.statement_id,
      remembered_at = excluded.remembered_at, forget_at = excluded.forget_at
    where e.signer <> e.recipient and excluded.signer = excluded.recipient;
  get diagnostics v_count = row_count;
  if v_count > 0 then
    delete from early_acknowledgements where (name, recipient) in (
      select name, recipient from early_acknowledgements
      where recipient = p_recipient and forwarder = p_forwarder order by remembered_at desc, name offset 10000
    );
  end if;
  return v_count;
end $$;

-- What was acknowledged before it came is acknowledged now. Called by both doors, for the few names that are remembered.
create function apply_early_acknowledgements(
  p_recipients bytea[], p_names bytea[], p_now bigint, p_forget_after bigint
) returns void language plpgsql as $$
declare
  v_early early_acknowledgements%rowtype;
begin
  for v_early in
    select e.* from early_acknowledgements e join unnest(p_recipients, p_names) as m (recipient, name)
      on e.name = m.name and e.recipient = m.recipient
  loop
    if v_early.signer <> v_early.recipient then
      perform hide_messages(
        v_early.recipient, array[v_early.name], v_early.signer, v_early.statement_id, p_forget_after, p_now + 600000
      );
    else
      perform delete_messages(v_early.recipient, '{}', array[v_early.name], p_forget_after, p_now + 600000);
    end if;
    -- Its name is remembered with what was held, if it was.
    delete from early_acknowledgements e where e.name = v_early.name and e.recipient = v_early.recipient
      and cardinality(known_names(e.recipient, array[e.name])) > 0;
  end loop;
end $$;

-- What follows from an acknowledgement in plain words beyond the boxes: hidden messages of these ids go, too, and the other
-- hosts are told of all of it in this node's words, if it is a host of the recipient.
create function spread_acknowledgement(
  p_recipient bytea, p_ids text[], p_names bytea[], p_self bytea, p_now bigint, p_remember_until bigint
) returns table (hidden integer, domains text[]) language plpgsql as $$
declare
  v_hidden bytea[] := delete_hidden_messages(p_recipient, p_ids, '{}');
  v_names bytea[] := p_names || v_hidden;
begin
  hidden := coalesce(cardinality(v_hidden), 0);
  if cardinality(v_names) > 0
    and exists (select from phip_hosts where recipient = p_recipient and live and operator_key <> p_self)
    and exists (select from phip_hosts where recipient = p_recipient and live and operator_key = p_self) then
    domains := pass_on_statement(
      keep_statement(p_recipient, p_self, null, v_names, p_remember_until), p_recipient, p_self, p_now
    );
  end if;
  return next;
end $$;

-- /acknowledgeMessage in the recipient's own words: deletes his messages of these names, visible or hidden, whatever box
-- they are in, and tells his other hosts. What he names by its shown id alone is told in this node's words.
create function acknowledge_in_own_words(
  p_digest uuid, p_issued_at bigint, p_forget_at bigint, p_now bigint, p_self bytea,
  p_recipient bytea, p_ids text[], p_names bytea[], p_signature text,
  p_forget_after bigint, p_ids_forget_at bigint, p_remember_until bigint
) returns table (verdict text, acknowledged bigint, domains text[]) language plpgsql as $$
declare
  v_home boolean;
  v_deleted bytea[];
  v_spread record;
  v_statement bigint;
begin
  verdict := admit_request(p_digest, p_issued_at, p_forget_at);
  acknowledged := 0;
  if verdict = 'fresh' then
    v_deleted := delete_messages(p_recipient, p_ids, p_names, p_forget_after, p_ids_forget_at);
    acknowledged := coalesce(cardinality(v_deleted), 0)
      + coalesce(cardinality(delete_hidden_messages(p_recipient, '{}', p_names)), 0);
    v_home := exists (select from routing_authorizations where recipient = p_recipient and revoked_at is null);
    -- Keys are free: of somebody who has nothing here, nothing is kept.
    if v_home or acknowledged > 0 then
      v_statement := keep_statement(p_recipient, p_recipient, p_signature, p_names, p_remember_until);
      domains := pass_on_statement(v_statement, p_recipient, p_self, p_now);
    end if;
    if v_home then
      perform remember_acknowledgement(
        p_recipient, p_names, p_recipient, p_recipient, v_statement, p_now, p_remember_until
      );
    end if;
    select * into v_spread from spread_acknowledgement(
      p_recipient, p_ids, array(select n from unnest(v_deleted) n where not n = any (p_names)), p_self, p_now,
      p_remember_until
    );
    acknowledged := acknowledged + v_spread.hidden;
    domains := domains || v_spread.domains;
  end if;
  return next;
end $$;

-- POST /propagateAcknowledgement: another host says what the recipient has acknowledged. His own word deletes; that of one
-- of his live hosts hides. Answers 'accepted'; or, changing nothing, 'not-home', 'not-host', 'unknown' or 'replayed'.
create function accept_acknowledgement(
  p_digest uuid, p_issued_at bigint, p_forget_at bigint, p_now bigint,
  p_recipient bytea, p_names bytea[], p_signer bytea, p_caller bytea, p_signature text,
  p_forget_after bigint, p_ids_forget_at bigint, p_remember_until bigint
) returns table (outcome text, acknowledged bigint) language plpgsql as $$
declare
  v_home boolean;
  v_caller_live boolean;
  v_statement bigint;
  v_known boolean;
  v_remembered bigint := 0;
begin
  acknowledged := 0;
  outcome := admit_request(p_digest, p_issued_at, p_forget_at);
  if outcome <> 'fresh' then
    return next;
    return;
  end if;
  v_home := exists (select from routing_authorizations where recipient = p_recipient and revoked_at is null);
  v_caller_live := exists (
    select from phip_hosts where recipient = p_recipient and operator_key = p_caller and live
  );
  outcome := 'accepted';
  if p_signer <> p_recipient then
    if not v_home then
      outcome := 'not-home';
    elsif not exists (
      -- A former host's word counts if a live one passes it on: that one could have said it himself.
      select from phip_hosts where recipient = p_recipient and operator_key = p_signer and (live or v_caller_live)
    ) then
      outcome := 'not-host';
    end if;
    if outcome <> 'accepted' then
      return next;
      return;
    end if;
  end if;

  v_known := exists (select from statements where recipient = p_recipient and md5(signature) = md5(p_signature));
  v_statement := keep_statement(p_recipient, p_signer, p_signature, p_names, p_remember_until);
  if p_signer = p_recipient then
    acknowledged := coalesce(cardinality(
      delete_messages(p_recipient, '{}', p_names, p_forget_after, p_ids_forget_at)
    ), 0) + coalesce(cardinality(delete_hidden_messages(p_recipient, '{}', p_names)), 0);
  else
    acknowledged := hide_messages(p_recipient, p_names, p_signer, v_statement, p_forget_after, p_ids_forget_at);
  end if;
  -- Keys are free: who is no host of the recipient gets no memory here.
  if v_home and (p_signer <> p_recipient or v_caller_live or p_caller = p_recipient) then
    v_remembered := remember_acknowledgement(
      p_recipient, p_names, p_signer, case when p_signer = p_recipient then p_caller else p_signer end, v_statement,
      p_now, p_remember_until
    );
  end if;
  if acknowledged = 0 and v_remembered = 0 and not v_known then
    delete from statements where id = v_statement;
  end if;
  return next;
end $$;

-- Claims what is due for a domain, oldest first. A domain that fails gets one call as a probe, when its wait is over.
create function claim_statements(p_domain text, p_now bigint, p_claimed_until bigint, p_limit integer)
returns setof statement_deliveries language plpgsql as $$
declare
  v_limit integer := p_limit;
  v_backoff_until bigint;
begin
  perform pg_advisory_xact_lock(hashtextextended(p_domain, 37));
  if is_held(p_domain) then
    return;
  end if;
  select backoff_until into v_backoff_until from destinations where domain = p_domain;
  if found then
    if v_backoff_until > p_now
      or exists (select from statement_deliveries where domain = p_domain and claimed_until > p_now) then
      return;
    end if;
    v_limit := 1;
  end if;
  return query
    update statement_deliveries d
    set attempts = d.attempts + 1, claim = nextval('delivery_claims'), claimed_until = p_claimed_until
    where d.id = any (array(
      select c.id from statement_deliveries c
      where c.domain = p_domain and c.next_attempt_at <= p_now and coalesce(c.claimed_until, 0) <= p_now
      order by c.id limit v_limit
    ))
    returning d.*;
end $$;

-- Ends deliveries of statements whose claims are still the latest; a word of this node's own that has reached everybody
-- is not needed any more, as the names of messages are remembered anyway.
create function end_statements(p_ids bigint[], p_claims bigint[]) returns void language plpgsql as $$
declare
  v_statements bigint[];
begin
  with ended as (
    delete from statement_deliveries d using unnest(p_ids, p_claims) as e (id, claim)
    where d.id = e.id and d.claim = e.claim
    returning d.statement_id
  )
  select array_agg(distinct statement_id) into v_statements from ended;
  if v_statements is not null then
    delete from statements s where s.id = any (v_statements) and s.signature is null
      and not exists (select from statement_deliveries d where d.statement_id = s.id);
  end if;
end $$;

-- Domains with a statement due, found by one index step per domain.
create function due_statement_domains(p_now bigint, p_limit integer) returns setof text language sql stable as $$
  with recursive domains as (
    (select domain from statement_deliveries order by domain limit 1)
    union all
    select (select d.domain from statement_deliveries d where d.domain > domains.domain order by d.domain limit 1)
    from domains where domains.domain is not null
  )
  select d.domain from domains d
  where d.domain is not null
    and not exists (select from destinations b where b.domain = d.domain and b.backoff_until > p_now)
    and not is_held(d.domain)
    and exists (
      select from statement_deliveries p
      where p.domain = d.domain and p.next_attempt_at <= p_now and coalesce(p.claimed_until, 0) <= p_now
    )
  limit p_limit
$$;

-- Plans what was said here for hosts that are new to a recipient: what he signed, and in this node's words at most ten
-- thousand names of what he acknowledged, which is what the other side remembers. Answers the domains to nudge.
create function tell_new_hosts(
  p_recipient bytea, p_self bytea, p_now bigint, p_forget_after bigint, p_remember_until bigint
) returns text[] language plpgsql as $$
declare
  v_hosts bytea[];
  v_names bytea[];
  v_statement bigint;
begin
  delete from told_hosts t where t.recipient = p_recipient and not exists (
    select from live_hosts(p_recipient) h where h.operator_key = t.host_key
  );
  if not exists (select from phip_hosts where recipient = p_recipient and operator_key = p_self and live) then
    return null;
  end if;
  with told as (
    insert into told_hosts (recipient, host_key)
    select p_recipient, h.operator_key from live_hosts(p_recipient) h where h.operator_key <> p_self
    on conflict do nothing returning host_key
  )
  select array_agg(host_key) into v_hosts from told;
  if v_hosts is null then
    return null;
  end if;
  insert into statement_deliveries (statement_id, domain, host_key, recipient, next_attempt_at, created_at)
    select s.id, h.domain, h.operator_key, p_recipient, p_now, p_now
    from (
      select id from statements where recipient = p_recipient and signer = p_recipient and signature is not null
    ) s cross join live_hosts(p_recipient) h where h.operator_key = any (v_hosts)
    on conflict (statement_id, host_key) do nothing;
  for v_names in
    select array_agg(name) from (
      select name, (row_number() over () - 1) / 1000 as batch
      from acknowledged_names(p_recipient, null, p_now, p_forget_after, 10000)
    ) n group by batch
  loop
    v_statement := keep_statement(p_recipient, p_self, null, v_names, p_remember_until);
    insert into statement_deliveries (statement_id, domain, host_key, recipient, next_attempt_at, created_at)
      select v_statement, h.domain, h.operator_key, p_recipient, p_now, p_now
      from live_hosts(p_recipient) h where h.operator_key = any (v_hosts);
  end loop;
  return (select array_agg(domain) from live_hosts(p_recipient) where operator_key = any (v_hosts));
end $$;

-- Deletes at most p_limit rows of each kind that nobody needs any more; answers how many there were.
create function prune_statements(p_now bigint, p_give_up_before bigint, p_limit integer) returns bigint
language plpgsql as $$
declare
  v_total bigint := 0;
  v_count bigint;
  v_envelopes bytea[];
begin
  with expired as (
    delete from hidden_messages where id in (
      select id from hidden_messages where expires_at <= p_now order by expires_at limit p_limit
    )
    returning envelope_id
  )
  select array_agg(envelope_id), count(*) into v_envelopes, v_count from expired;
  if v_count > 0 then
    perform release_envelopes(v_envelopes);
  end if;
  v_total := v_total + v_count;
  delete from early_acknowledgements where (name, recipient) in (
    select name, recipient from early_acknowledgements where forget_at <= p_now order by forget_at limit p_limit
  );
  get diagnostics v_count = row_count; v_total := v_total + v_count;
  delete from statements where id in (
    select id from statements where forget_at <= p_now order by forget_at limit p_limit
  );
  get diagnostics v_count = row_count; v_total := v_total + v_count;
  delete from statement_deliveries where id in (
    select d.id from destinations b join statement_deliveries d on d.domain = b.domain
    where b.failing_since <= p_give_up_before and d.created_at <= p_give_up_before and not is_held(b.domain)
    limit p_limit
  );
  get diagnostics v_count = row_count; v_total := v_total + v_count;
  delete from reconciliations r where not exists (
    select from phip_hosts h where h.operator_key = r.host_key and h.live
  );
  return v_total;
end $$;

-- Comparing what two hosts hold (protocol section 6, reconciliation).

-- Hosts with which this node shares recipients, and when to compare next. Whoever compares has the claim.
create table reconciliations (
  host_key bytea primary key,
  domain text not null,
  next_at bigint not null,
  claim bigint,
  claimed_until bigint,
  finished_at bigint,
  -- where the last comparison ended, if it had more to do than one may; recipient ‖ name
  resume_at bytea
);
create index reconciliations_next_at on reconciliations (next_at);
create index reconciliations_domain on reconciliations (domain);
create index phip_hosts_operator on phip_hosts (operator_key, recipient) where live;

-- Whether this node and a host both serve a recipient, the host being one of those that this node gives his messages to.
create function shares_recipient(p_self bytea, p_host_key bytea, p_recipient bytea) returns boolean
language sql stable as $$
  select exists (
    select from phip_hosts h
    where h.recipient = p_recipient and h.operator_key = p_host_key and h.live
      and (
        select count(*) from (
          select from phip_hosts n
          where n.recipient = p_recipient and n.live and n.operator_key not in (p_self, p_host_key)
            and n.first_seen > h.first_seen
          limit 3
        ) newer
      ) < 3
  ) and exists (
    select from phip_hosts o where o.recipient = p_recipient and o.operator_key = p_self and o.live
  ) and exists (
    select from routing_authorizations a where a.recipient = p_recipient and a.revoked_at is null
  )
$$;

-- Recipients of a host, in the order of their keys, at most p_limit; whether this node shares them, how many messages they
-- have here, and a text that is another one once a message has come or gone. Those that are not shared are among them so
-- that a host with tokens for half the world costs no more than others.
create function recipients_of_host(
  p_self bytea, p_host_key bytea, p_from bytea, p_until bytea, p_limit integer
) returns table (recipient bytea, shared boolean, messages bigint, version text, expressions text[])
language sql stable as $$
  select c.recipient, c.shared, coalesce(v.messages, 0), coalesce(v.version, ''),
    array_remove(array[c.box_expression, o.box_expression], null)
  from (
    select h.recipient, h.box_expression, shares_recipient(p_self, p_host_key, h.recipient) as shared from (
      select * from phip_hosts
      where operator_key = p_host_key and live and recipient >= p_from and (p_until is null or recipient <= p_until)
      order by recipient limit p_limit
    ) h
  ) c
  left join phip_hosts o on o.recipient = c.recipient and o.operator_key = p_self
  left join lateral (select * from contents_version(c.recipient)) v on c.shared
  order by c.recipient
$$;

-- What this node says to names that another host holds and this one does not: those that it wants, as it never held them.
-- Of those that were acknowledged here the host is told (again), in the words that there are.
create function judge_offers(
  p_self bytea, p_host_key bytea, p_recipient bytea, p_names bytea[], p_now bigint, p_forget_after bigint,
  p_remember_until bigint
) returns table (wanted bytea[], domain text) language plpgsql as $$
declare
  v_statements bigint[];
  v_own bytea[];
begin
  if not shares_recipient(p_self, p_host_key, p_recipient) then
    return;
  end if;
  wanted := array(
    select n from unnest(p_names) n
    where not n = any (known_names(p_recipient, p_names))
      and not exists (
        select from early_acknowledgements e where e.name = n and e.recipient = p_recipient and e.signer = p_recipient
      )
  );
  select array_agg(distinct id) into v_statements from (
    select statement_id as id from hidden_messages where recipient = p_recipient and name = any (p_names)
    union
    select statement_id from early_acknowledgements where recipient = p_recipient and name = any (p_names)
    union
    select id from statements
      where recipient = p_recipient and signer = p_recipient and signature is not null
        and kind = 'acknowledgement' and names && p_names
  ) said where exists (select from statements s where s.id = said.id);
  v_own := array(
    select a.name from acknowledged_names(p_recipient, p_names, p_now, p_forget_after, 10000) a
    where not exists (select from statements s where s.id = any (v_statements) and a.name = any (s.names))
  );
  if cardinality(v_own) > 0 then
    v_statements := v_statements || keep_statement(p_recipient, p_self, null, v_own, p_remember_until);
  end if;
  select h.domain into domain from phip_hosts h
    where h.recipient = p_recipient and h.operator_key = p_host_key and h.live;
  if v_statements is null then
    domain := null;
  else
    insert into statement_deliveries (statement_id, domain, host_key, recipient, next_attempt_at, created_at)
      select id, domain, p_host_key, p_recipient, p_now, p_now from unnest(v_statements) id
      on conflict (statement_id, host_key) do nothing;
  end if;
  return next;
end $$;

-- Plans messages for a host that lacks them, also where it said once that it took them: a delivery that ended a minute ago
-- or earlier begins anew. Answers the domain to nudge.
create function plan_wanted(
  p_self bytea, p_host_key bytea, p_recipient bytea, p_names bytea[], p_now bigint
) returns text language plpgsql as $$
declare
  v_domain text;
begin
  if not shares_recipient(p_self, p_host_key, p_recipient) then
    return null;
  end if;
  perform pg_advisory_xact_lock_shared(recipient_lock_key(p_recipient));
  select domain into v_domain from phip_hosts
    where recipient = p_recipient and operator_key = p_host_key and live;
  with planned as (
    insert into deliveries as d (
      domain, host_key, recipient, sender, message_box, message_id, name, envelope_id, id_key, lane,
      first_hand, first_seen, next_attempt_at, created_at, expires_at
    )
    select v_domain, p_host_key, p_recipient, m.sender, b.name, m.shown_id, m.name, m.envelope_id, m.id_key,
      lane_of(m.sender, p_recipient, b.name), false, m.first_seen, p_now, p_now, m.expires_at
    from held_messages(p_recipient, '{}', p_names) h
    join messages m on m.box_id = h.box_id and m.position = h.position
    join message_boxes b on b.id = m.box_id
    join envelopes e on e.id = m.envelope_id
    where m.expires_at > p_now and not m.parked and not e.withheld
      and (m.forwardable or (m.origin = 'local' and exists (
        select from sender_authorizations a
        where a.sender = m.sender and a.given - 600000 <= m.created_at and a.expires >= m.created_at
      )))
    order by m.box_id, m.position
    on conflict (recipient, name, host_key) do update set
      domain = excluded.domain, envelope_id = excluded.envelope_id, state = 'pending', attempts = 0,
      next_attempt_at = p_now, claim = null, claimed_until = null, last_answer = null, finished_at = null
      where d.state <> 'pending' and d.finished_at <= p_now - 60000
    returning d.envelope_id
  )
  update envelopes e set holds = e.holds + p.n
    from (select envelope_id, count(*) as n from planned group by envelope_id) p
    where e.id = p.envelope_id;
  return v_domain;
end $$;

-- Sees to it that this node compares soon with the other hosts of a recipient whose hosts have changed.
create function request_reconciliations(p_recipient bytea, p_self bytea, p_now bigint) returns void
language sql as $$
  insert into reconciliations as r (host_key, domain, next_at)
  select h.operator_key, h.domain, p_now + 2000 from live_hosts(p_recipient) h
  where h.operator_key <> p_self and exists (
    select from phip_hosts o where o.recipient = p_recipient and o.operator_key = p_self and o.live
  )
  order by h.first_seen desc limit 3
  on conflict (host_key) do update set
    domain = excluded.domain,
    next_at = least(r.next_at, greatest(excluded.next_at, coalesce(r.finished_at, 0) + 10000))
$$;

-- Takes the turn to compare with a host; no row where it is not time, somebody else does, or the domain is left alone.
create function claim_reconciliation(p_host_key bytea, p_now bigint, p_claimed_until bigint)
returns table (domain text, claim bigint, resume_at bytea) language sql as $$
  update reconciliations r set claim = nextval('delivery_claims'), claimed_until = p_claimed_until
    where r.host_key = p_host_key and r.next_at <= p_now and coalesce(r.claimed_until, 0) <= p_now
      and not exists (select from destinations b where b.domain = r.domain and b.backoff_until > p_now)
      and not is_held(r.domain)
    returning r.domain, r.claim, r.resume_at
$$;
