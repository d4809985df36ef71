-- Payments: which outputs have been used, and what the node's wallet has still to take.

-- Outputs that were used: by a message, or to pay this node. Never deleted: an output that is used once is used for ever, and
-- each was a real one that its payer had to make.
create table payment_outputs (
  -- as it is hashed, not as it is shown
  txid bytea not null check (octet_length(txid) = 32),
  output_index integer not null,
  -- the message that brought it, and to whom; null: it pays this node
  recipient bytea,
  name bytea,
  used_at bigint not null,
  primary key (txid, output_index)
);

-- Those that use outputs of one transaction come one after the other.
create function lock_payment(p_txid bytea) returns void language sql as $$
  select pg_advisory_xact_lock(hashtextextended(encode(p_txid, 'hex'), 39))
$$;

-- What a sealed message brought passes to a better proven one of the same sender to the same recipient: whoever sent the
-- ciphertext first may have been anybody. The payment must be locked.
create function free_sealed_payment(p_txid bytea, p_sender bytea, p_recipient bytea) returns void language plpgsql
set enable_seqscan = off
as $$
begin
  perform from recipients where identity_key = p_recipient for no key update;
  with freed as (
    delete from payment_outputs o using recipients r, messages m
    where o.txid = p_txid and o.recipient = p_recipient and r.identity_key = p_recipient
      and m.recipient_id = r.id and m.name = o.name and m.origin = 'sealed' and m.sender = p_sender
    returning m.box_id, m.position, octet_length(m.payment) as length
  ), emptied as (
    update messages m set payment = null, bytes = m.bytes - f.length from (select distinct * from freed) f
    where m.box_id = f.box_id and m.position = f.position
    returning f.length
  )
  update recipients r set sealed_bytes = r.sealed_bytes - (select coalesce(sum(length), 0) from emptied)
    where r.identity_key = p_recipient;
end $$;

-- Gives a message that has just been stored its payment, which counts as its bytes. Its recipient must be locked. Answers
-- whether he has more bytes now than p_most.
create function attach_payment(p_recipient bytea, p_name bytea, p_payment bytea, p_most bigint) returns boolean
language plpgsql
set enable_seqscan = off
as $$
declare
  v_guest boolean;
  v_full boolean;
begin
  update messages m set payment = p_payment, bytes = m.bytes + octet_length(p_payment)
    from recipients r where r.identity_key = p_recipient and m.recipient_id = r.id and m.name = p_name
    returning m.origin = 'sealed' into v_guest;
  -- An acknowledgement that came before it has taken it away already.
  if not found then
    return false;
  end if;
  update recipients r set
    byte_count = r.byte_count + case when v_guest then 0 else octet_length(p_payment) end,
    sealed_bytes = r.sealed_bytes + case when v_guest then octet_length(p_payment) else 0 end
    where r.identity_key = p_recipient
    returning r.byte_count > p_most or r.sealed_bytes > p_most into v_full;
  return v_full;
end $$;

-- Outputs that pay this node and that its wallet has not taken yet. A row is written with what was paid for, and goes when the
-- wallet says that it has it; wallets take an output again without harm.
create table node_payments (
  id bigint generated always as identity primary key,
  txid bytea not null,
  output_index integer not null,
  -- atomic
  beef bytea not null,
  derivation_prefix text not null,
  derivation_suffix text not null,
  payer bytea not null,
  satoshis bigint not null,
  -- what it was paid for
  purpose text not null,
  created_at bigint not null,
  attempts integer not null default 0,
  next_attempt_at bigint not null,
  last_error text,
  unique (txid, output_index)
);
alter table node_payments alter column beef set storage external;
create index node_payments_next_attempt_at on node_payments (next_attempt_at);

-- Requests that were paid for (BRC-105), so that the same one, sent again, is answered again and not paid again. Key:
-- SHA-256(txid ‖ prefix and suffix).
create table paid_requests (
  key uuid primary key,
  -- of payer, method, path, query and body
  request_digest uuid not null,
  -- null: under way, or given up without an answer that would be the last word
  answer jsonb,
  claimed_at bigint not null,
  forget_at bigint not null
);
create index paid_requests_forget_at on paid_requests (forget_at);
