-- Who may write to whom, and for how much: what recipients say of senders and boxes, and what that means for a message.

-- One rule is of one recipient and box, for one sender or for everybody.
create table permissions (
  recipient bytea not null check (octet_length(recipient) = 33),
  message_box text not null,
  -- empty: everybody for whom there is no rule of his own
  sender bytea not null check (octet_length(sender) in (0, 33)),
  -- satoshis; 0: free; -1: blocked; null: none, and what was said before set_at must not come back
  recipient_fee bigint check (recipient_fee >= -1),
  -- of the whole box: whether sealed messages without further proof are taken from other hosts
  takes_sealed boolean not null default true check (takes_sealed or sender = ''),
  -- of two words about one rule the later counts
  set_at bigint not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (recipient, message_box, sender)
);

-- Satoshis where nobody has said anything: what deployed servers ask for.
create function default_recipient_fee(p_box text) returns bigint language sql immutable as $$
  select case p_box when 'notifications' then 10 else 0 end::bigint
$$;

-- What a recipient wants of a sender for a message in a box; -1: he blocks him. The rule for the sender comes before that
-- for everybody.
create function recipient_fee(p_recipient bytea, p_box text, p_sender bytea) returns bigint language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off
as $$
begin
  return coalesce(
    (select p.recipient_fee from permissions p
      where p.recipient = p_recipient and p.message_box = p_box and p.sender = p_sender),
    (select p.recipient_fee from permissions p
      where p.recipient = p_recipient and p.message_box = p_box and p.sender = ''),
    default_recipient_fee(p_box)
  );
end $$;

-- The same of a message that another host hands on. A rule speaks of what is sent after it was set: what another host of
-- the recipient took from its sender before that, or where there was no rule, is his already, and is given to this one.
create function fee_of_propagated(p_recipient bytea, p_box text, p_sender bytea, p_host bytea, p_time bigint)
returns bigint language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off
as $$
declare
  v_fee bigint := recipient_fee(p_recipient, p_box, p_sender);
begin
  if v_fee <> 0
    and exists (select from phip_hosts h where h.recipient = p_recipient and h.operator_key = p_host and h.live)
    and p_time <= coalesce(
      (select p.set_at from permissions p where p.recipient = p_recipient and p.message_box = p_box
        and p.sender = p_sender and p.recipient_fee is not null),
      (select p.set_at from permissions p where p.recipient = p_recipient and p.message_box = p_box
        and p.sender = '' and p.recipient_fee is not null),
      p_time
    ) then
    return 0;
  end if;
  return v_fee;
end $$;

create function takes_sealed(p_recipient bytea, p_box text) returns boolean language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off
as $$
begin
  return coalesce(
    (select p.takes_sealed from permissions p
      where p.recipient = p_recipient and p.message_box = p_box and p.sender = ''),
    true
  );
end $$;

-- Writes what a recipient says of one rule, if he has said nothing later. His changes come one after the other, so p_most is
-- exact; of rules that are none any more the oldest give way.
--
-- p_keeps_fee: the fee stays as it is. p_fee null: there shall be none. p_takes_sealed null: as it is. p_set_at null: later
-- than all that was said before. Answers 'set'; 'known': that is what was said last; or, changing nothing, 'outdated' or
-- 'full'.
create function write_permission(
  p_recipient bytea, p_box text, p_sender bytea, p_keeps_fee boolean, p_fee bigint, p_takes_sealed boolean,
  p_set_at bigint, p_now bigint, p_most integer
) returns text language plpgsql
set enable_seqscan = off set enable_bitmapscan = off
as $$
declare
  v_rule permissions;
  v_set_at bigint := p_set_at;
begin
  perform pg_advisory_xact_lock(hashtextextended(encode(p_recipient, 'hex'), 38));
  select * into v_rule from permissions p
    where p.recipient = p_recipient and p.message_box = p_box and p.sender = p_sender;
  if found then
    if p_set_at is null then
      v_set_at := greatest(p_now, v_rule.set_at + 1);
    elsif p_set_at = v_rule.set_at and p_fee is not distinct from v_rule.recipient_fee then
      return 'known';
    -- Of two said at the same time one counts at every host: blocked, free, the cheaper one, none.
    elsif (p_set_at, -coalesce(p_fee, 9e18::bigint)) < (v_rule.set_at, -coalesce(v_rule.recipient_fee, 9e18::bigint)) then
      return 'outdated';
    end if;
    update permissions p set
      recipient_fee = case when p_keeps_fee then p.recipient_fee else p_fee end,
      takes_sealed = coalesce(p_takes_sealed, p.takes_sealed),
      set_at = case when p_keeps_fee then p.set_at else v_set_at end,
      created_at = case when p.recipient_fee is null and p.takes_sealed then p_now else p.created_at end,
      updated_at = p_now
      where p.recipient = p_recipient and p.message_box = p_box and p.sender = p_sender;
    return 'set';
  end if;
  if p_set_at is null and p_fee is null and coalesce(p_takes_sealed, true) then
    return 'set';
  end if;
  if (select count(*) from permissions where recipient = p_recipient) >= p_most then
    with surplus as (
      delete from permissions p using (
        select message_box, sender from permissions
        where recipient = p_recipient and recipient_fee is null and takes_sealed order by set_at limit 100
      ) oldest
      where p.recipient = p_recipient and p.message_box = oldest.message_box and p.sender = oldest.sender
      returning p.message_box, p.sender
    )
    delete from statements s using surplus
      where s.kind = 'permission' and s.recipient = p_recipient and s.message_box = surplus.message_box
        and s.sender = surplus.sender;
    if (select count(*) from permissions where recipient = p_recipient) >= p_most then
      return 'full';
    end if;
  end if;
  insert into permissions (recipient, message_box, sender, recipient_fee, takes_sealed, set_at, created_at, updated_at)
    values (
      p_recipient, p_box, p_sender, p_fee, coalesce(p_takes_sealed, true),
      case when p_keeps_fee then 0 else coalesce(v_set_at, p_now) end, p_now, p_now
    );
  return 'set';
end $$;

-- Keeps what a recipient signed about one rule, in the place of what he signed before. His changes must be locked:
-- write_permission.
create function keep_permission(
  p_recipient bytea, p_box text, p_sender bytea, p_fee bigint, p_set_at bigint, p_signature text
) returns bigint language plpgsql
set enable_seqscan = off set enable_bitmapscan = off
as $$
declare
  v_kept statements;
begin
  select * into v_kept from statements s
    where s.kind = 'permission' and s.recipient = p_recipient and s.message_box = p_box and s.sender = p_sender;
  if found then
    if v_kept.set_at = p_set_at and v_kept.recipient_fee is not distinct from p_fee then
      return v_kept.id;
    end if;
    delete from statements where id = v_kept.id;
  end if;
  insert into statements (
    kind, recipient, signer, signature, names, message_box, sender, recipient_fee, set_at, forget_at
  ) values (
    'permission', p_recipient, p_recipient, p_signature, '{}', p_box, p_sender, p_fee, p_set_at,
    -- a rule has no end
    9223372036854775807
  )
  returning id into v_kept.id;
  return v_kept.id;
end $$;

-- /permissions/set and /permissions/delete: in plain words, which hold here alone; or with p_set_at and p_signature, and
-- then the recipient's other hosts are told. Answers as write_permission, and the domains to nudge; or 'unknown' or
-- 'replayed'.
create function set_permission(
  p_digest uuid, p_issued_at bigint, p_forget_at bigint, p_now bigint, p_self bytea,
  p_recipient bytea, p_box text, p_sender bytea, p_keeps_fee boolean, p_fee bigint, p_takes_sealed boolean,
  p_set_at bigint, p_signature text, p_most integer
) returns table (outcome text, domains text[]) language plpgsql as $$
begin
  outcome := admit_request(p_digest, p_issued_at, p_forget_at);
  if outcome = 'fresh' then
    outcome := write_permission(
      p_recipient, p_box, p_sender, p_keeps_fee, p_fee, p_takes_sealed, p_set_at, p_now, p_most
    );
    if p_signature is not null and outcome in ('set', 'known') then
      domains := pass_on_statement(
        keep_permission(p_recipient, p_box, p_sender, p_fee, p_set_at, p_signature), p_recipient, p_self, p_now
      );
    end if;
  end if;
  return next;
end $$;

-- POST /propagatePermission: another host passes on what a recipient has signed. What is new here is passed on once more:
-- the host at which he said it may be gone before all have heard. Answers 'accepted', how many rules have changed, and the
-- domains to nudge; or, changing nothing, 'not-home', 'unknown' or 'replayed'.
create function accept_permissions(
  p_digest uuid, p_issued_at bigint, p_forget_at bigint, p_now bigint, p_self bytea, p_caller bytea, p_recipient bytea,
  p_boxes text[], p_senders bytea[], p_fees bigint[], p_set_at bigint[], p_signatures text[], p_most integer
) returns table (outcome text, changed integer, domains text[]) language plpgsql as $$
declare
  v_statement bigint;
begin
  changed := 0;
  outcome := admit_request(p_digest, p_issued_at, p_forget_at);
  if outcome = 'fresh' then
    outcome := 'accepted';
    if not exists (select from routing_authorizations where recipient = p_recipient and revoked_at is null) then
      outcome := 'not-home';
      return next;
      return;
    end if;
    for i in 1 .. cardinality(p_boxes) loop
      if write_permission(
        p_recipient, p_boxes[i], p_senders[i], false, p_fees[i], null, p_set_at[i], p_now, p_most
      ) = 'set' then
        changed := changed + 1;
        v_statement := keep_permission(
          p_recipient, p_boxes[i], p_senders[i], p_fees[i], p_set_at[i], p_signatures[i]
        );
        domains := domains || pass_on_statement(v_statement, p_recipient, p_self, p_now);
        delete from statement_deliveries where statement_id = v_statement and host_key = p_caller;
      end if;
    end loop;
  end if;
  return next;
end $$;

-- Rules of a recipient for a box, or for all where p_box is null; those that are none any more left out.
create function rules_of(p_recipient bytea, p_box text) returns setof permissions language sql stable
set enable_seqscan = off set enable_bitmapscan = off
as $$
  select * from permissions p
  where p.recipient = p_recipient and (p_box is null or p.message_box = p_box)
    and (p.recipient_fee is not null or not p.takes_sealed)
$$;
