-- Federation (BRC-34): who may send and receive through this host, and what must still reach which host.

-- What a recipient signed so that this host may advertise for him (BRC-34). Holding one that is in force makes this host
-- one of his homes; one that he took back stays for as long as it counts against the next one.
create table routing_authorizations (
  recipient bytea primary key,
  text text not null,
  signature bytea not null,
  box_expression text,
  authorized_at bigint not null,
  revoked_at bigint
);
create index routing_authorizations_revoked_at on routing_authorizations (revoked_at) where revoked_at is not null;

-- A withdrawal that names this host is obeyed wherever it was published.
create function obey_withdrawal() returns trigger language plpgsql as $$
begin
  update routing_authorizations set revoked_at = new.admitted_at
    where recipient = new.recipient and text = new.text and revoked_at is null;
  return null;
end $$;
create trigger phip_withdrawals_obeyed after insert on phip_withdrawals
  for each row execute function obey_withdrawal();

-- What a sender signed so that this host may vouch for his requests (protocol section 4, home-host).
create table sender_authorizations (
  sender bytea not null,
  given bigint not null,
  expires bigint not null,
  signature text not null,
  primary key (sender, given)
);

-- One message that must reach one host. The table is the truth; the queue only says when to look.
create table deliveries (
  id bigint generated always as identity primary key,
  domain text not null,
  host_key bytea not null,
  recipient bytea not null,
  sender bytea not null,
  message_box text not null,
  message_id text not null,
  name bytea not null,
  envelope_id bytea not null,
  -- key in client_message_ids
  id_key uuid,
  -- (sender, recipient, message box): what keeps its order
  lane bigint not null,
  -- this host authenticated the sender, so a failure is reported to him
  first_hand boolean not null,
  first_seen bigint not null,
  state text not null default 'pending' check (state in ('pending', 'delivered', 'refused', 'expired')),
  attempts integer not null default 0,
  next_attempt_at bigint not null,
  -- who works on it, until when; the number grows with every claim, so that a late worker's word does not count
  claim bigint,
  claimed_until bigint,
  -- attempts that ended as they did because of this message, as far as can be told
  setbacks integer not null default 0,
  -- it has held its lane for long enough: the others go on, and it is tried again by itself
  skipped_at bigint,
  last_answer text,
  created_at bigint not null,
  finished_at bigint,
  expires_at bigint not null,
  unique (recipient, name, host_key)
)
-- No index knows of claims, so that claiming a row and putting it back stay within its page. Rows leave in the order in
-- which they came, thousands at a time: vacuumed early, their places are taken again before the table has grown.
with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
create index deliveries_pending on deliveries (domain, id) where state = 'pending';
create index deliveries_pending_lane on deliveries (domain, lane, id) where state = 'pending' and skipped_at is null;
create index deliveries_skipped on deliveries (domain, next_attempt_at) where state = 'pending' and skipped_at is not null;
create index deliveries_sender on deliveries (sender, message_id);
create index deliveries_expires_at on deliveries (expires_at);
create sequence delivery_claims;

-- A number that no other claim has, not even one that Postgres has forgotten in a crash: claims are committed without
-- waiting for the disk.
create function new_claim() returns bigint language sql volatile as $$
  select nextval('delivery_claims') * 1048576 + floor(random() * 1048576)::bigint
$$;

-- What went wrong with a domain, and until when it is left alone. No row: nothing.
create table destinations (
  domain text primary key,
  -- whose calls failed there
  operator_key bytea,
  failures integer not null,
  failing_since bigint not null,
  -- the last failure that counted
  failed_at bigint not null default 0,
  backoff_until bigint not null,
  -- one message is on its way to find out, until then
  probe_until bigint not null default 0,
  -- the host was last heard of while it was left alone
  woken_at bigint not null default 0,
  last_answer text not null
);
create index destinations_backoff_until on destinations (backoff_until);

-- Whether the operator holds what waits for a domain.
create function is_held(p_domain text) returns boolean language plpgsql stable as $$
begin
  return exists (select from held_domains where domain = p_domain);
end $$;

-- A host that is left alone shows that it lives: it is probed at once. What is held against it stays until it has taken a
-- message, so that one which calls but cannot be called costs one probe in p_at_most_every ms.
create function wake_destination(p_domain text, p_operator_key bytea, p_now bigint, p_at_most_every bigint)
returns boolean language plpgsql as $$
begin
  update destinations set backoff_until = p_now, woken_at = p_now
    where domain = p_domain and operator_key = p_operator_key and backoff_until > p_now
      and woken_at <= p_now - p_at_most_every;
  return found;
end $$;

-- Recipients whose hosts have changed: their mail here is planned again.
create table catch_ups (
  recipient bytea primary key,
  requested_at bigint not null
);

create function request_catch_up() returns trigger language plpgsql as $$
begin
  insert into catch_ups (recipient, requested_at)
    values (new.recipient, (extract(epoch from clock_timestamp()) * 1000)::bigint)
    on conflict (recipient) do update set requested_at = excluded.requested_at;
  perform wake_destination(
    new.domain, new.operator_key, (extract(epoch from clock_timestamp()) * 1000)::bigint, 30000
  );
  return null;
end $$;
create trigger phip_hosts_catch_up after insert or update on phip_hosts
  for each row execute function request_catch_up();

-- Recipients for whom mail is parked here: other overlay hosts are asked for his hosts, less and less often.
create table recipient_lookups (
  recipient bytea primary key,
  next_lookup_at bigint not null,
  interval bigint not null
);
create index recipient_lookups_next on recipient_lookups (next_lookup_at);

-- Hosts that a message for this recipient and box goes to: four at most, this host first, then the newest. Box expressions
-- are matched by the node in linear time; it states the answers for those it was asked about.
create function chosen_hosts(p_recipient bytea, p_self bytea, p_expressions text[], p_matches boolean[])
returns table (operator_key bytea, domain text, first_seen bigint) language sql stable as $$
  select h.operator_key, h.domain, h.first_seen from live_hosts(p_recipient) h
  where h.box_expression is null or p_matches[array_position(p_expressions, h.box_expression)]
  order by (h.operator_key = p_self) desc, h.first_seen desc
  limit 4
$$;

-- Held shared by whoever routes mail of a recipient, and alone by whoever changes his hosts: mail is either planned for
-- the new host at once, or found by the catch-up.
create function recipient_lock_key(p_recipient bytea) returns bigint language sql immutable as $$
  select hashtextextended(encode(p_recipient, 'hex'), 34)
$$;

create function lane_of(p_sender bytea, p_recipient bytea, p_box text) returns bigint language sql immutable as $$
  select hashtextextended(encode(p_sender || p_recipient, 'hex') || p_box, 33)
$$;

-- Claims deliveries of one domain, oldest first, one per lane, none of a lane that is being worked on; what was skipped
-- belongs to no lane any more. While the domain is failing only one goes out, as a probe, when its wait is over: one that
-- has been tried least, so that no message stands for its host alone.
--
-- Answers what was claimed, with the domain that a live token names now, and in walked_to where the next claim goes on
-- to look: however much waits, one claim looks at so many rows and no more.
create function claim_deliveries(
  p_domain text, p_now bigint, p_claimed_until bigint, p_limit integer, p_walked_to bigint
) returns table (
  id bigint, claim bigint, domain text, host_key bytea, recipient bytea, sender bytea, message_box text, message_id text,
  name bytea, envelope_id bytea, first_hand boolean, first_seen bigint, attempts integer, skipped boolean,
  created_at bigint, expires_at bigint, live_domain text, live_expression text, failing boolean, setbacks integer, walked_to text
) language plpgsql as $$
#variable_conflict use_column
declare
  v_limit integer := p_limit;
  v_destination destinations%rowtype;
  v_failing boolean;
  v_claim bigint;
  v_ids bigint[];
  v_seen integer;
  v_head record;
  v_walked_to bigint := p_walked_to;
begin
  -- One claimer at a time per domain: two could else take neighbours of one lane.
  perform pg_advisory_xact_lock(hashtextextended(p_domain, 35));
  if is_held(p_domain) then
    return;
  end if;
  -- A claim that a crash undoes was one attempt too many, which its host answers as a repeat.
  perform set_config('synchronous_commit', 'off', true);
  select * into v_destination from destinations where domain = p_domain;
  v_failing := found;
  if v_failing then
    if v_destination.backoff_until > p_now or v_destination.probe_until > p_now then
      return;
    end if;
    v_limit := 1;
  end if;
  -- The oldest few are enough as a rule: the first of a lane among them is the first of that lane. Spelled as a range,
  -- since only one index has that order; with `=` Postgres may walk the primary key through all that is delivered, or
  -- sort all that waits.
  with oldest as (
    select id, lane, attempts, next_attempt_at, claimed_until, skipped_at from deliveries
    where domain between p_domain and p_domain and state = 'pending' order by domain, id limit 200
  ), heads as (
    select distinct on (lane) * from oldest where skipped_at is null order by lane, id
  )
  select array_agg(id), (select count(*) from oldest) into v_ids, v_seen from (
    select id from heads where next_attempt_at <= p_now and coalesce(claimed_until, 0) <= p_now
    order by case when v_failing then attempts else 0 end, id limit v_limit
  ) due;
  v_ids := coalesce(v_ids, '{}');
  -- Where those lanes wait there may be others behind them: one step of the index for each lane, a few at a time.
  if v_seen = 200 and cardinality(v_ids) < v_limit then
    for step in 1 .. 256 loop
      select id, lane, next_attempt_at, claimed_until into v_head from deliveries
        where domain = p_domain and state = 'pending' and skipped_at is null and lane > v_walked_to
        order by lane, id limit 1;
      if not found then
        v_walked_to := -9223372036854775808;
        exit;
      end if;
      v_walked_to := v_head.lane;
      if v_head.next_attempt_at <= p_now and coalesce(v_head.claimed_until, 0) <= p_now
        and not v_head.id = any (v_ids) then
        v_ids := v_ids || v_head.id;
        exit when cardinality(v_ids) = v_limit;
      end if;
    end loop;
  end if;
  -- One of those that were skipped in each claim: however many they are, they take no place of the others.
  if cardinality(v_ids) < v_limit then
    v_ids := v_ids || array(
      select id from deliveries
      where domain = p_domain and state = 'pending' and skipped_at is not null and next_attempt_at <= p_now
        and coalesce(claimed_until, 0) <= p_now
      order by next_attempt_at limit 1
    );
  end if;
  if cardinality(v_ids) = 0 then
    walked_to := v_walked_to::text;
    if v_walked_to <> p_walked_to then
      return next;
    end if;
    return;
  end if;
  if v_failing then
    update destinations set probe_until = p_claimed_until where domain = p_domain;
  end if;
  v_claim := new_claim();
  return query
    with claimed as (
      update deliveries d set attempts = d.attempts + 1, claim = v_claim, claimed_until = p_claimed_until
      where d.id = any (v_ids)
      returning d.*
    )
    select c.id, c.claim, c.domain, c.host_key, c.recipient, c.sender, c.message_box, c.message_id, c.name, c.envelope_id,
      c.first_hand, c.first_seen, c.attempts, c.skipped_at is not null, c.created_at, c.expires_at, h.domain, h.box_expression, v_failing,
      c.setbacks, v_walked_to::text
    from claimed c
    left join phip_hosts h on h.recipient = c.recipient and h.operator_key = c.host_key and h.live
    order by c.id;
end $$;

-- A message that was only parked here leaves with the first host that takes it. Its name goes too: a node that becomes a
-- home of the recipient takes it like any other.
create function forget_parked(p_recipient bytea, p_name bytea, p_ids_forget_at bigint) returns void language plpgsql as $$
declare
  v_message messages;
begin
  select m.* into v_message from recipients r join messages m on m.recipient_id = r.id
    where r.identity_key = p_recipient and m.name = p_name and m.parked;
  if found then
    perform from recipients where identity_key = p_recipient for no key update;
    perform release_envelopes(
      take_messages(array[v_message.box_id], array[v_message.position], null, p_ids_forget_at)
    );
  end if;
end $$;

-- Ends deliveries whose claim is still the latest, and answers which those are: a late worker's word does not count. A
-- message that was only parked here leaves with the first host that takes it.
create function finish_deliveries(
  p_ids bigint[], p_claims bigint[], p_states text[], p_answers text[], p_now bigint, p_ids_forget_at bigint
) returns bigint[] language plpgsql as $$
declare
  v_finished bigint[];
  v_envelopes bytea[];
  v_id_keys uuid[];
  v_recipients bytea[];
  v_names bytea[];
begin
  -- What a crash undoes is done again: the host answers as to a repeat.
  perform set_config('synchronous_commit', 'off', true);
  with finished as (
    update deliveries d
    set state = f.state, last_answer = f.answer, finished_at = p_now, claimed_until = null
    from unnest(p_ids, p_claims, p_states, p_answers) as f (id, claim, state, answer)
    where d.id = f.id and d.claim = f.claim and d.state = 'pending'
    returning d.id, d.envelope_id, d.state, d.id_key, d.recipient, d.name
  )
  select array_agg(id), array_agg(envelope_id), array_agg(id_key) filter (where state = 'delivered' and id_key is not null),
    array_agg(recipient) filter (where state = 'delivered'), array_agg(name) filter (where state = 'delivered')
  into v_finished, v_envelopes, v_id_keys, v_recipients, v_names from finished;
  if v_finished is null then
    return '{}';
  end if;
  if v_id_keys is not null then
    update client_message_ids set forget_at = least(forget_at, p_ids_forget_at)
      where id_key = any (v_id_keys) and delivery = 'forwarding';
  end if;
  for i in 1 .. coalesce(cardinality(v_recipients), 0) loop
    perform forget_parked(v_recipients[i], v_names[i], p_ids_forget_at);
  end loop;
  -- Recipients before envelopes, as everybody locks them.
  perform release_envelopes(v_envelopes);
  return v_finished;
end $$;

-- Puts deliveries back, to be tried again at p_next_attempt_at; p_setbacks where it was their own fault; those with p_skip
-- let their lanes go on.
create function defer_deliveries(
  p_ids bigint[], p_claims bigint[], p_answers text[], p_next_attempt_at bigint[], p_setbacks integer[],
  p_skip boolean[], p_now bigint
) returns void language plpgsql as $$
begin
  perform set_config('synchronous_commit', 'off', true);
  update deliveries d
    set claimed_until = null, last_answer = f.answer, next_attempt_at = f.next_attempt_at,
      setbacks = f.setbacks, skipped_at = coalesce(d.skipped_at, case when f.skip then p_now end)
    from unnest(p_ids, p_claims, p_answers, p_next_attempt_at, p_setbacks, p_skip)
      as f (id, claim, answer, next_attempt_at, setbacks, skip)
    where d.id = f.id and d.claim = f.claim and d.state = 'pending';
end $$;

-- Domains with something due, found by one index step per domain.
create function due_domains(p_now bigint, p_limit integer) returns setof text language sql stable as $$
  with recursive domains as (
    (select domain from deliveries where state = 'pending' order by domain limit 1)
    union all
    select (select d.domain from deliveries d where d.state = 'pending' and d.domain > domains.domain
            order by d.domain limit 1)
    from domains where domains.domain is not null
  )
  select d.domain from domains d
  where d.domain is not null
    and not exists (select from destinations b where b.domain = d.domain and b.backoff_until > p_now)
    -- The oldest tell, as a rule; beyond so many it is the claim that finds out.
    and (
      exists (
        select from (
          select p.next_attempt_at, p.claimed_until from deliveries p
          where p.domain between d.domain and d.domain and p.state = 'pending' order by p.domain, p.id limit 200
        ) oldest
        where next_attempt_at <= p_now and coalesce(claimed_until, 0) <= p_now
      )
      or exists (
        select from deliveries p
        where p.domain between d.domain and d.domain and p.state = 'pending' order by p.domain, p.id offset 199 limit 1
      )
    )
    and not is_held(d.domain)
  limit p_limit
$$;

-- Plans the messages of one box for hosts that came later than they did; and where this node is no home of the recipient
-- (it only kept them, or is one no longer) for all of his hosts. Hosts that already have a delivery of a message are
-- passed over. Answers the last position looked at (null: the box is done)
-- and the domains to nudge.
create function plan_box(
  p_box_id bigint, p_after bigint, p_limit integer, p_now bigint, p_self bytea,
  p_expressions text[], p_matches boolean[]
) returns table (last_position bigint, domains text[]) language plpgsql as $$
declare
  v_box message_boxes%rowtype;
  v_home boolean;
begin
  select * into v_box from message_boxes where id = p_box_id;
  perform pg_advisory_xact_lock_shared(recipient_lock_key(v_box.recipient));
  v_home := exists (
    select from chosen_hosts(v_box.recipient, p_self, p_expressions, p_matches) where operator_key = p_self
  );
  -- The page first: what is joined before a limit may be the whole box.
  with page as (
    select * from messages m
    where m.box_id = p_box_id and m.position > p_after and m.expires_at > p_now
    order by m.position limit p_limit
  ), planned as (
    insert into deliveries (
      domain, host_key, recipient, sender, message_box, message_id, name, envelope_id, id_key, lane,
      first_hand, first_seen, next_attempt_at, created_at, expires_at
    )
    select h.domain, h.operator_key, v_box.recipient, m.sender, v_box.name, m.shown_id, m.name, m.envelope_id, m.id_key,
      lane_of(m.sender, v_box.recipient, v_box.name), m.parked, m.first_seen, p_now, p_now, m.expires_at
    from page m join envelopes e on e.id = m.envelope_id
    cross join chosen_hosts(v_box.recipient, p_self, p_expressions, p_matches) h
    where h.operator_key <> p_self and not e.withheld
      and (not v_home or m.parked or h.first_seen >= m.created_at)
      and (m.forwardable or (m.origin = 'local' and exists (
        select from sender_authorizations a
        where a.sender = m.sender and a.given - 600000 <= m.created_at and a.expires >= m.created_at
      )))
    order by m.position
    on conflict (recipient, name, host_key) do nothing
    returning deliveries.domain, deliveries.envelope_id
  ), held as (
    update envelopes e set holds = e.holds + p.n
    from (select envelope_id, count(*) as n from planned group by envelope_id) p
    where e.id = p.envelope_id
  )
  select (select max(position) from page), (select array_agg(distinct planned.domain) from planned)
  into last_position, domains;
  -- Where this node has become a home of the recipient, what it only kept for him is his now, and stays.
  if v_home then
    update messages m set parked = false
      where m.box_id = p_box_id and m.position > p_after and m.position <= last_position and m.parked;
  end if;
  return next;
end $$;

-- Claims deliveries whose time is over: their message has expired, or their host has been failing for too long.
create function claim_overdue_deliveries(p_now bigint, p_give_up_before bigint, p_limit integer)
returns setof deliveries language sql as $$
  update deliveries d set claim = new_claim(), claimed_until = p_now + 60000
  where d.id = any (array(
    select id from (
      (select id from deliveries
       where state = 'pending' and expires_at <= p_now and coalesce(claimed_until, 0) <= p_now
       order by expires_at limit p_limit)
      union
      (select e.id from destinations b join deliveries e on e.domain = b.domain
       where b.failing_since <= p_give_up_before and e.state = 'pending' and e.created_at <= p_give_up_before
         and coalesce(e.claimed_until, 0) <= p_now and not is_held(b.domain)
       limit p_limit)
    ) overdue
  ))
  returning d.*
$$;

-- A report to the sender that no host took his message; once per message, whoever notices. Reports leave by expiring; full
-- boxes must not keep a delivery from ending, so no limit stands in their way.
create function store_report(
  p_sender bytea, p_node bytea, p_name bytea, p_integer bigint, p_body bytea, p_now bigint, p_expires_at bigint
) returns boolean language plpgsql as $$
declare
  v_recipient recipients := lock_recipient(p_sender);
begin
  if is_name_known(v_recipient.id, p_name) then
    return false;
  end if;
  perform store_message(
    p_sender, 'delivery_reports', p_name, p_integer::text, p_node, p_body, false, p_name, 'local', null, false, false,
    null, null, false, null, p_now, p_now, p_expires_at
  );
  return true;
end $$;

-- A message that no host takes in stays here until one appears. Answers the limit that keeps it from staying, or null.
create function park_message(
  p_delivery_id bigint, p_body bytea, p_wrapped boolean, p_origin_proof jsonb, p_sealed boolean, p_now bigint, p_quotas quotas
) returns text language plpgsql as $$
declare
  v_delivery deliveries%rowtype;
  v_recipient recipients;
  v_known client_message_ids;
  v_exceeded text;
  v_shown text;
begin
  select * into strict v_delivery from deliveries where id = p_delivery_id;
  perform pg_advisory_xact_lock_shared(recipient_lock_key(v_delivery.recipient));
  v_recipient := lock_recipient(v_delivery.recipient);
  if is_name_known(v_recipient.id, v_delivery.name) then
    return null;
  end if;
  v_exceeded := exceeded_quota(
    v_recipient, v_delivery.message_box, v_delivery.sender, false, octet_length(p_body), p_quotas
  );
  if v_exceeded is not null then
    perform delete_unused_recipients(array[v_delivery.recipient]);
    return v_exceeded;
  end if;
  v_shown := v_delivery.message_id;
  if exists (select from messages m where m.recipient_id = v_recipient.id and m.shown_id = v_shown) then
    v_shown := v_shown || ' ' || v_delivery.id;
  end if;
  -- From now on the message itself remembers its id.
  delete from client_message_ids where id_key = v_delivery.id_key and forget_at > p_now returning * into v_known;
  perform store_message(
    v_delivery.recipient, v_delivery.message_box, v_delivery.name, v_shown, v_delivery.sender, p_body, p_wrapped,
    v_delivery.envelope_id, 'local', p_origin_proof, true, true, v_known.id_key, v_known.payment_digest, p_sealed, null,
    v_delivery.first_seen, p_now, v_delivery.expires_at
  );
  update envelopes set holds = holds + 1 where id = v_delivery.envelope_id;
  insert into recipient_lookups (recipient, next_lookup_at, interval)
    values (v_delivery.recipient, p_now, 600000)
    on conflict (recipient) do update set next_lookup_at = least(recipient_lookups.next_lookup_at, excluded.next_lookup_at);
  return null;
end $$;

-- Deletes at most p_limit rows of each kind that nobody needs any more; answers how many there were.
create function prune_federation(p_now bigint, p_limit integer, p_destinations integer) returns bigint language plpgsql as $$
declare
  v_total bigint := 0;
  v_count bigint;
begin
  delete from deliveries where id in (
    select id from deliveries where state <> 'pending' and expires_at <= p_now order by expires_at limit p_limit
  );
  get diagnostics v_count = row_count; v_total := v_total + v_count;
  delete from sender_authorizations where (sender, given) in (
    select sender, given from sender_authorizations where expires <= p_now order by expires limit p_limit
  );
  get diagnostics v_count = row_count; v_total := v_total + v_count;
  delete from routing_authorizations where recipient in (
    select recipient from routing_authorizations where revoked_at <= p_now - 86400000 order by revoked_at limit p_limit
  );
  get diagnostics v_count = row_count; v_total := v_total + v_count;
  delete from destinations where domain in (
    select domain from destinations b where b.backoff_until <= p_now - 86400000
      and not exists (select from deliveries d where d.domain = b.domain and d.state = 'pending')
    order by backoff_until limit p_limit
  );
  get diagnostics v_count = row_count; v_total := v_total + v_count;
  -- Anybody can name any number of domains, so only so many are remembered: without those that would be probed first.
  delete from destinations where domain in (
    select domain from destinations order by backoff_until desc offset p_destinations limit p_limit
  );
  get diagnostics v_count = row_count; v_total := v_total + v_count;
  return v_total;
end $$;
create index sender_authorizations_expires on sender_authorizations (expires);

-- Parked messages of one box that no host can be given, because nothing would prove there who sent them: between two
-- positions, for their senders' reports.
create function unprovable_parked(p_box_id bigint, p_after bigint, p_until bigint)
returns table (sender bytea, name bytea, message_id text) language sql stable as $$
  select m.sender, m.name, m.shown_id from messages m join envelopes e on e.id = m.envelope_id
  where m.box_id = p_box_id and m.position > p_after and m.position <= p_until and m.parked
    and (e.withheld or not (m.forwardable or exists (
      select from sender_authorizations a
      where a.sender = m.sender and a.given - 600000 <= m.created_at and a.expires >= m.created_at
    )))
$$;
