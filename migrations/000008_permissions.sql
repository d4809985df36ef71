-- Who may write to whom, and for how much: what recipients say of senders and boxes, and what that means for a message.

-- One rule is of one recipient and box, for one sender or everybody.
create table permissions (
  recipient bytea not null check (octet_length(recipient) = 33),
  message_box text not null,
  -- null: everybody for whom there is no rule of his own
  sender bytea check (octet_length(sender) = 33),
  -- satoshis; 0: free; -1: blocked; null: none, and what was said before set_at must not come back
  recipient_fee bigint check (recipient_fee >= -1),
  -- of the whole box: whether sealed messages without further proof are taken from other hosts
  takes_sealed boolean not null default true check (takes_sealed or sender is null),
  -- of two words about one rule the later counts
  set_at bigint not null,
  created_at bigint not null,
  updated_at bigint not null,
  unique nulls not distinct (recipient, message_box, sender)
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
      where p.recipient = p_recipient and p.message_box = p_box and p.sender is null),
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
        and p.sender is null and p.recipient_fee is not null),
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
      where p.recipient = p_recipient and p.message_box = p_box and p.sender is null),
    true
  );
end $$;

-- Writes what a recipient says of one rule, if he has said nothing later. His changes come one after the other: p_most is
-- exact. Of rules that are none any more the oldest give way.
--
-- p_keeps_fee: the fee stays as it is. p_fee null: there shall be none. p_takes_sealed null: as it is. p_set_at null: later than all that was said before.
-- Answers 'set'; 'known': that is what was said last; or, changing nothing, 'outdated', or 'full'.
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
    where p.recipient = p_recipient and p.message_box = p_box and p.sender is not distinct from p_sender;
  if found then
    if p_set_at is null then
      v_set_at := greatest(p_now, v_rule.set_at + 1);
    elsif p_set_at = v_rule.set_at and p_fee is not distinct from v_rule.recipient_fee then
      return 'known';
    -- Of two at the same time the stricter one counts: blocked, free, for less, none.
    elsif (p_set_at, -coalesce(p_fee, 9e18::bigint)) < (v_rule.set_at, -coalesce(v_rule.recipient_fee, 9e18::bigint)) then
      return 'outdated';
    end if;
    update permissions p set
      recipient_fee = case when p_keeps_fee then p.recipient_fee else p_fee end,
      takes_sealed = coalesce(p_takes_sealed, p.takes_sealed),
      set_at = case when p_keeps_fee then p.set_at else v_set_at end,
      created_at = case when p.recipient_fee is null and p.takes_sealed then p_now else p.created_at end,
      updated_at = p_now
      where p.recipient = p_recipient and p.message_box = p_box and p.sender is not distinct from p_sender;
    return 'set';
  end if;
  if p_set_at is null and p_fee is null and coalesce(p_takes_sealed, true) then
    return 'set';
  end if;
  if (select count(*) from permissions where recipient = p_recipient) >= p_most then
    delete from permissions p using (
      select message_box, sender from permissions
      where recipient = p_recipient and recipient_fee is null and takes_sealed order by set_at limit 100
    ) surplus
    where p.recipient = p_recipient and p.message_box = surplus.message_box
      and p.sender is not distinct from surplus.sender;
    if not found then
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

-- /permissions/set and /permissions/delete, in plain words.
create function set_permission(
  p_digest uuid, p_issued_at bigint, p_forget_at bigint, p_now bigint,
  p_recipient bytea, p_box text, p_sender bytea, p_keeps_fee boolean, p_fee bigint, p_takes_sealed boolean,
  p_most integer
) returns text language plpgsql as $$
declare
  v_verdict text := admit_request(p_digest, p_issued_at, p_forget_at);
begin
  if v_verdict <> 'fresh' then
    return v_verdict;
  end if;
  return write_permission(
    p_recipient, p_box, p_sender, p_keeps_fee, p_fee, p_takes_sealed, null, p_now, p_most
  );
end $$;
