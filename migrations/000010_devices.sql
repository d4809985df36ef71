-- Devices whose owners want to be told that something has arrived (docs/push.md).
--
-- Nothing of this is touched while a message is accepted: after the commit `mark_devices` says which devices have a reason
-- to look, and `mark_missed_devices` finds those for which a process died before it could. What is told is always looked
-- up anew, so a mark may be repeated, late or unnecessary.
create table devices (
  id bigint generated always as identity primary key,
  recipient bytea not null check (octet_length(recipient) = 33),
  service text not null check (service in ('fcm', 'web-push')),
  -- of the push service, as in a URL, with a port where it is not the usual one
  host text not null,
  -- a registration token (FCM), or the endpoint of a subscription (Web Push)
  address text not null,
  address_digest uuid not null,
  -- of a subscription (RFC 8291): a point on P-256, and a secret
  point bytea,
  secret bytea,
  -- in the words of the app
  device_id text,
  platform text check (platform in ('ios', 'android', 'web')),
  -- false once its service said that it is gone, or has failed too often
  active boolean not null default true,
  created_at bigint not null,
  updated_at bigint not null,
  -- when its service last took something
  last_used bigint,
  -- up to here the recipient's messages have been told, or were there before the device
  seen_recipient_id bigint not null,
  seen_position bigint not null,
  -- when to look whether something is new, and to push; null: there is no reason to
  due_at bigint,
  -- in a row
  failures integer not null default 0,
  claim bigint,
  claimed_until bigint,
  -- deleted then, unless it is registered again or used
  forget_at bigint not null,
  unique (recipient, address_digest)
) with (fillfactor = 80);
create index devices_due on devices (host, due_at) where due_at is not null;
create index devices_forget_at on devices (forget_at);

-- What a recipient has in boxes that push, unexpired, behind a position, and where all of his boxes end now. A recipient
-- who was forgotten meanwhile begins anew. No row: he has nothing.
create function news_of(
  p_recipient bytea, p_seen_recipient_id bigint, p_seen_position bigint, p_boxes text[], p_now bigint
) returns table (recipient_id bigint, last_position bigint, boxes text[]) language sql stable as $$
  select r.id, r.last_position, array(
    select b.name from message_boxes b
    where b.recipient = r.identity_key and b.name = any (p_boxes) and exists (
      select from messages m
      where m.box_id = b.id and m.expires_at > p_now
        and m.position > case when r.id = p_seen_recipient_id then p_seen_position else 0 end
    )
    order by b.name
  )
  from recipients r where r.identity_key = p_recipient
$$;

-- Registers a device, or changes one that is known by its address; of more than p_most the one registered longest ago goes,
-- those that are gone first.
create function register_device(
  p_digest uuid, p_issued_at bigint, p_session_end bigint, p_recipient bytea, p_service text, p_host text, p_address text,
  p_address_digest uuid, p_point bytea, p_secret bytea, p_device_id text, p_platform text, p_now bigint,
  p_forget_at bigint, p_most integer, out verdict text, out device_id bigint
) language plpgsql as $$
declare
  v_recipient_id bigint;
  v_position bigint;
begin
  verdict := admit_request(p_digest, p_issued_at, p_session_end);
  if verdict <> 'fresh' then
    return;
  end if;
  -- Two who register at once would both count without the other.
  perform pg_advisory_xact_lock(hashtextextended(encode(p_recipient, 'hex'), 10));
  select id, last_position into v_recipient_id, v_position from recipients where identity_key = p_recipient;
  insert into devices as d (
    recipient, service, host, address, address_digest, point, secret, device_id, platform, created_at, updated_at,
    seen_recipient_id, seen_position, forget_at
  ) values (
    p_recipient, p_service, p_host, p_address, p_address_digest, p_point, p_secret, p_device_id, p_platform, p_now, p_now,
    coalesce(v_recipient_id, 0), coalesce(v_position, 0), p_forget_at
  )
  on conflict (recipient, address_digest) do update set
    service = excluded.service, host = excluded.host, point = excluded.point, secret = excluded.secret,
    device_id = excluded.device_id, platform = excluded.platform, active = true, updated_at = excluded.updated_at,
    failures = 0, forget_at = excluded.forget_at,
    seen_recipient_id = case when d.active then d.seen_recipient_id else excluded.seen_recipient_id end,
    seen_position = case when d.active then d.seen_position else excluded.seen_position end
  returning d.id into device_id;
  delete from devices where id in (
    select d.id from devices d where d.recipient = p_recipient
    order by d.id = register_device.device_id desc, d.active desc, d.updated_at desc, d.id desc offset p_most
  );
end $$;

-- Gives devices of these recipients a reason to look, soonest p_interval after the last push; answers the push services at
-- which some may look now.
create function mark_devices(p_recipients bytea[], p_services text[], p_now bigint, p_interval bigint)
returns setof text language sql
set enable_seqscan = off
as $$
  with marked as (
    update devices d set due_at = coalesce(d.due_at, greatest(p_now, coalesce(d.last_used, 0) + p_interval))
    where d.id = any (array(
      select c.id from devices c
      where c.recipient = any (p_recipients) and c.active and c.service = any (p_services)
        -- One that is being pushed to ends with a look of its own: it must come after this.
        and (c.due_at is null or c.claimed_until is not null)
      order by c.id for no key update
    ))
    returning d.host, d.due_at
  )
  select distinct host from marked where due_at <= p_now
$$;

-- Marks those of the next p_limit devices behind p_after whose owners have something new nobody marked them for. Answers
-- the last device looked at; null: there is none.
create function mark_missed_devices(
  p_after bigint, p_limit integer, p_services text[], p_boxes text[], p_now bigint, p_interval bigint
) returns bigint language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_ids bigint[];
  v_missed bigint[];
begin
  select array_agg(d.id), array_agg(d.id order by d.id) filter (
    where d.active and d.due_at is null and d.service = any (p_services)
      and exists (
        select from news_of(d.recipient, d.seen_recipient_id, d.seen_position, p_boxes, p_now) n
        where cardinality(n.boxes) > 0
      )
  ) into v_ids, v_missed
  from (select * from devices where id > p_after order by id limit p_limit) d;
  if v_missed is not null then
    update devices d set due_at = greatest(p_now, coalesce(d.last_used, 0) + p_interval)
      where d.id = any (array(
        select c.id from devices c where c.id = any (v_missed) and c.due_at is null order by c.id for no key update
      ));
  end if;
  return (select max(id) from unnest(v_ids) id);
end $$;

-- The next p_limit push services behind p_after at which something is or will be due, found by one index step for each, and
-- whether it is due now.
create function due_push_hosts(p_after text, p_now bigint, p_limit integer) returns table (host text, is_due boolean)
language sql stable as $$
  with recursive hosts as (
    (select 1 as n, d.host from devices d where d.due_at is not null and d.host > p_after order by d.host limit 1)
    union all
    select h.n + 1, (
      select d.host from devices d where d.due_at is not null and d.host > h.host order by d.host limit 1
    )
    from hosts h where h.host is not null and h.n < p_limit
  )
  select h.host, exists (
    select from devices d
    where d.host = h.host and d.due_at <= p_now and coalesce(d.claimed_until, 0) <= p_now
  )
  from hosts h where h.host is not null
$$;

-- Claims devices of a push service that are due, with what is new for each: none in `boxes` if it was acknowledged meanwhile.
create function claim_pushes(p_host text, p_now bigint, p_claimed_until bigint, p_boxes text[], p_limit integer)
returns table (
  id bigint, claim bigint, recipient bytea, service text, address text, point bytea, secret bytea, failures integer,
  recipient_id bigint, last_position bigint, boxes text[]
) language sql as $$
  with claimed as (
    update devices d set claim = nextval('delivery_claims'), claimed_until = p_claimed_until
    where d.id = any (array(
      select c.id from devices c
      where c.host = p_host and c.due_at <= p_now and coalesce(c.claimed_until, 0) <= p_now
      order by c.due_at limit p_limit for no key update skip locked
    ))
    returning d.*
  )
  select c.id, c.claim, c.recipient, c.service, c.address, c.point, c.secret, c.failures,
    coalesce(n.recipient_id, c.seen_recipient_id), coalesce(n.last_position, c.seen_position), coalesce(n.boxes, '{}')
  from claimed c
  left join lateral news_of(c.recipient, c.seen_recipient_id, c.seen_position, p_boxes, p_now) n on true
$$;

-- Ends a claim that is still the latest: everything up to a position has been told, or was acknowledged before. What came
-- meanwhile is told after p_interval.
create function settle_push(
  p_id bigint, p_claim bigint, p_pushed boolean, p_recipient_id bigint, p_position bigint, p_boxes text[], p_now bigint,
  p_interval bigint, p_forget_at bigint
) returns void language sql as $$
  update devices d set
    claim = null, claimed_until = null, seen_recipient_id = p_recipient_id, seen_position = p_position,
    failures = case when p_pushed then 0 else d.failures end,
    last_used = case when p_pushed then p_now else d.last_used end,
    forget_at = case when p_pushed then p_forget_at else d.forget_at end,
    due_at = case when exists (
      select from news_of(d.recipient, p_recipient_id, p_position, p_boxes, p_now) n where cardinality(n.boxes) > 0
    ) then p_now + p_interval end
  where d.id = p_id and d.claim = p_claim
$$;
