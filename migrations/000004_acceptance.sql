-- The doors by which messages enter: what this node's own users send, and what other hosts hand on. Both end in
-- store_message, the one way into a box.

-- Deletes the boxes of a recipient that hold nothing; answers how many there were. He must be locked.
create function delete_empty_boxes(p_recipient bytea) returns integer language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_count integer;
begin
  delete from message_boxes b where b.recipient = p_recipient
    and not exists (select from messages m where m.box_id = b.id);
  get diagnostics v_count = row_count;
  if v_count > 0 then
    update recipients set box_count = box_count - v_count where identity_key = p_recipient;
  end if;
  return v_count;
end $$;

-- Which limit one more message would exceed, by its name in the node document; null where there is room. The recipient must
-- be locked.
create function exceeded_quota(
  p_recipient recipients, p_box text, p_source bytea, p_is_guest boolean, p_bytes integer, p_quotas quotas
) returns text language plpgsql as $$
declare
  v_boxes integer := case when p_is_guest then p_quotas.boxes / 2 else p_quotas.boxes end;
  v_empty integer;
begin
  if p_is_guest then
    if p_recipient.sealed_count >= p_quotas.sealed_messages then
      return 'sealedMessagesPerRecipient';
    elsif p_recipient.sealed_bytes + p_bytes > p_quotas.bytes then
      return 'bytesPerRecipient';
    elsif p_quotas.sealed_messages_of_host <= (
      select messages from message_counts where recipient_id = p_recipient.id and sealed and source = p_source
    ) then
      return 'sealedMessagesPerHost';
    end if;
  else
    if p_recipient.message_count >= p_quotas.messages then
      return 'messagesPerRecipient';
    elsif p_recipient.byte_count + p_bytes > p_quotas.bytes then
      return 'bytesPerRecipient';
    elsif p_recipient.message_count >= p_quotas.messages_of_sender then
      if not p_recipient.counts_senders then
        insert into message_counts (recipient_id, sealed, source, messages)
          select p_recipient.id, false, m.sender, count(*) from message_boxes b join messages m on m.box_id = b.id
          where b.recipient = p_recipient.identity_key and m.origin <> 'sealed' group by m.sender;
        update recipients set counts_senders = true where id = p_recipient.id;
      end if;
      if p_quotas.messages_of_sender <= (
        select messages from message_counts where recipient_id = p_recipient.id and not sealed and source = p_source
      ) then
        return 'messagesPerSender';
      end if;
    end if;
  end if;
  -- Of the boxes half are for messages whose sender is proven.
  if p_recipient.box_count >= v_boxes
    and not exists (select from message_boxes where recipient = p_recipient.identity_key and name = p_box) then
    v_empty := delete_empty_boxes(p_recipient.identity_key);
    if p_recipient.box_count - v_empty >= v_boxes then
      return 'boxesPerRecipient';
    end if;
  end if;
  return null;
end $$;

-- Adds a message to the count of the host it came from, where it is a guest, or of its sender, where senders are counted.
create function count_message(p_recipient_id bigint, p_counts_senders boolean, p_source bytea, p_is_guest boolean)
returns void language plpgsql as $$
begin
  if p_is_guest or p_counts_senders then
    insert into message_counts as c (recipient_id, sealed, source, messages)
      values (p_recipient_id, p_is_guest, p_source, 1)
      on conflict (recipient_id, sealed, source) do update set messages = c.messages + 1;
  end if;
end $$;

-- Puts one message into its box. Its recipient must be locked, its name, shown id and id key must be new, and there must be
-- room: exceeded_quota. p_handed_on_by: the host, where its origin is sealed.
create function store_message(
  p_recipient bytea, p_box text, p_name bytea, p_shown_id text, p_sender bytea, p_body bytea, p_wrapped boolean,
  p_envelope_id bytea, p_origin text, p_proof jsonb, p_forwardable boolean, p_parked boolean, p_id_key uuid,
  p_payment_digest uuid, p_sealed boolean, p_handed_on_by bytea, p_first_seen bigint, p_now bigint, p_expires_at bigint
) returns void language plpgsql as $$
declare
  v_bytes integer := octet_length(p_body);
  v_is_guest boolean := p_origin = 'sealed';
  v_box_id bigint;
  v_new_boxes integer := 0;
  v_recipient recipients;
begin
  select id into v_box_id from message_boxes where recipient = p_recipient and name = p_box;
  if not found then
    insert into message_boxes (recipient, name) values (p_recipient, p_box) returning id into v_box_id;
    v_new_boxes := 1;
  end if;
  update recipients r set
    last_position = r.last_position + 1, box_count = r.box_count + v_new_boxes,
    message_count = r.message_count + (not v_is_guest)::integer,
    byte_count = r.byte_count + case when v_is_guest then 0 else v_bytes end,
    sealed_count = r.sealed_count + v_is_guest::integer,
    sealed_bytes = r.sealed_bytes + case when v_is_guest then v_bytes else 0 end
    where r.identity_key = p_recipient
    returning * into strict v_recipient;
  perform count_message(
    v_recipient.id, v_recipient.counts_senders, case when v_is_guest then p_handed_on_by else p_sender end, v_is_guest
  );
  insert into messages (
    box_id, position, recipient_id, name, shown_id, sender, body, wrapped, envelope_id, origin, proof, forwardable, parked,
    id_key, payment_digest, sealed, handed_on_by, bytes, first_seen, created_at, expires_at
  ) values (
    v_box_id, v_recipient.last_position, v_recipient.id, p_name, p_shown_id, p_sender, p_body, p_wrapped, p_envelope_id,
    p_origin, p_proof, p_forwardable, p_parked, p_id_key, p_payment_digest, p_sealed, p_handed_on_by, v_bytes,
    p_first_seen, p_now, p_expires_at
  );
end $$;

-- Keeps an envelope for p_holds messages and deliveries.
create function hold_envelope(
  p_id bytea, p_sender bytea, p_format text, p_key_id text, p_signed bytea, p_signature bytea, p_withheld boolean,
  p_key_linkage bytea, p_proof jsonb, p_received_at bigint, p_holds integer
) returns void language plpgsql as $$
begin
  insert into envelopes as e (
    id, sender, format, key_id, signed_bytes, signature, withheld, key_linkage, proof, received_at, holds
  ) values (
    p_id, p_sender, p_format, p_key_id, p_signed, p_signature, p_withheld, p_key_linkage, p_proof, p_received_at, p_holds
  )
  on conflict (id) do update set
    holds = e.holds + excluded.holds,
    -- a better proof of the same request replaces none
    proof = coalesce(e.proof, excluded.proof);
end $$;

-- A sealed message gives way to a better proof of the same ciphertext, with the words, the id and the time that this proof
-- speaks of: a stranger who sent the ciphertext first decides nothing of that. From then on it counts as its sender's. The
-- recipient must be locked.
--
-- held: how many holds of the envelope it took. exceeded: the limit that keeps it as it is.
create function improve_proof(
  p_recipient recipients, p_name bytea, p_origin text, p_proof jsonb, p_envelope_id bytea, p_forwardable boolean,
  p_body bytea, p_wrapped boolean, p_client_id text, p_first_seen bigint, p_expires_at bigint, p_quotas quotas,
  out held integer, out exceeded text
) language plpgsql as $$
declare
  v_message messages;
  v_shown text;
  v_bytes integer := octet_length(p_body);
  v_counts_senders boolean;
begin
  held := 0;
  if p_origin = 'sealed' then
    return;
  end if;
  select * into v_message from messages m
    where m.recipient_id = p_recipient.id and m.name = p_name and m.origin = 'sealed';
  if not found then
    return;
  end if;
  select exceeded_quota(p_recipient, b.name, v_message.sender, false, v_bytes, p_quotas) into exceeded
    from message_boxes b where b.id = v_message.box_id;
  if exceeded is not null then
    return;
  end if;
  v_shown := v_message.shown_id;
  if p_client_id is not null and not exists (
    select from messages m where m.recipient_id = p_recipient.id and m.shown_id = p_client_id
  ) then
    v_shown := p_client_id;
  end if;
  update messages m set
    origin = p_origin, handed_on_by = null, proof = p_proof, envelope_id = p_envelope_id, forwardable = p_forwardable,
    body = p_body, wrapped = p_wrapped, bytes = v_bytes, shown_id = v_shown, first_seen = p_first_seen,
    expires_at = p_expires_at
    where m.box_id = v_message.box_id and m.position = v_message.position;
  update recipients r set
    sealed_count = r.sealed_count - 1, sealed_bytes = r.sealed_bytes - v_message.bytes,
    message_count = r.message_count + 1, byte_count = r.byte_count + v_bytes
    where r.id = p_recipient.id
    returning r.counts_senders into v_counts_senders;
  update message_counts set messages = messages - 1
    where recipient_id = p_recipient.id and sealed and source = v_message.handed_on_by;
  delete from message_counts
    where recipient_id = p_recipient.id and sealed and source = v_message.handed_on_by and messages <= 0;
  perform count_message(p_recipient.id, v_counts_senders, v_message.sender, false);
  perform release_envelopes(array[v_message.envelope_id]);
  held := 1;
end $$;

-- Keeps asking for hosts of a recipient for whom mail is parked here.
create function request_lookup(p_recipient bytea, p_now bigint) returns void language plpgsql as $$
begin
  insert into recipient_lookups (recipient, next_lookup_at, interval) values (p_recipient, p_now, 600000)
  on conflict do nothing;
end $$;

-- The one door for messages that this node's own users send (POST /sendMessage). All recipients or none.
-- The arrays run over the recipients in ascending order of their keys, as everybody locks them.
--
-- Answers one row per recipient: outcome 'accepted' or 'repeat', how it is delivered, the id shown, and the domains to
-- nudge; or, storing nothing, rows with another outcome: 'unknown' or 'replayed' (the request), 'match' (expressions
-- that the caller must match first), 'unprovable', 'duplicate', 'full' (that recipient; `exceeded` names the limit),
-- 'blocked' (by that recipient), 'due' (his `fee`; index 0: this node's p_delivery_fee alone). What is due must be shown to
-- be paid, and the same request given once more with p_paid, satoshis by recipient: it has been admitted then. 'elsewhere':
-- that recipient reads at a host which takes messages from their senders only; `domains` holds its URL alone.
create function accept_sent(
  p_digest uuid, p_issued_at bigint, p_forget_at bigint,
  p_now bigint, p_self bytea, p_sender bytea, p_box text, p_body bytea, p_wrapped boolean,
  p_payment_digest uuid, p_ciphertext_key uuid,
  p_envelope_id bytea, p_format text, p_key_id text, p_signed bytea, p_signature bytea, p_withheld boolean,
  p_recipients bytea[], p_names bytea[], p_integers bigint[], p_client_ids text[], p_id_keys uuid[],
  p_proofs jsonb[], p_expires_at bigint[],
  p_expressions text[], p_matches boolean[],
  p_forget_after bigint, p_quotas quotas, p_delivery_fee bigint default 0, p_paid bigint[] default null
) returns table (
  recipient_index integer, outcome text, delivery text, shown_id text, forwardable boolean,
  domains text[], expressions text[], exceeded text, fee bigint
) language plpgsql as $$
declare
  v_count integer := cardinality(p_recipients);
  v_sealed boolean := p_ciphertext_key is not null;
  v_authorized boolean;
  v_home boolean;
  v_selective boolean;
  v_hosts integer;
  v_recipient recipients;
  v_live messages;
  v_known client_message_ids;
  v_improved record;
  v_outcomes text[] := '{}';
  v_deliveries text[] := '{}';
  v_shown text[] := '{}';
  v_forwardable boolean[] := '{}';
  -- null where the id is not to be remembered
  v_id_keys uuid[] := '{}';
  v_exceeded text[] := '{}';
  v_fees bigint[] := '{}';
  v_refused boolean := false;
  v_made_recipient boolean := false;
  v_holds integer := 0;
  v_planned_count integer;
begin
  for i in 1 .. v_count loop
    perform pg_advisory_xact_lock_shared(recipient_lock_key(p_recipients[i]));
    -- Most recipients have no host, or hosts for every box: then one look is enough.
    select count(*), bool_or(h.operator_key = p_self), array_agg(distinct h.box_expression) filter (
      where h.box_expression is not null and not h.box_expression = any (p_expressions)
    ), bool_or(h.box_expression is not null)
    into v_hosts, v_home, expressions, v_selective
    from live_hosts(p_recipients[i]) h;
    if expressions is not null then
      recipient_index := i; outcome := 'match';
      return next;
      return;
    end if;
    if v_selective then
      select count(*), bool_or(operator_key = p_self) into v_hosts, v_home
        from chosen_hosts(p_recipients[i], p_self, p_expressions, p_matches);
    end if;
    v_deliveries[i] := case when v_home then 'local' when v_hosts > 0 then 'forwarding'
      when exists (select from messagebox_elsewhere e where e.recipient = p_recipients[i]) then 'elsewhere' else 'parked' end;
  end loop;

  outcome := case when p_paid is null then admit_request(p_digest, p_issued_at, p_forget_at) else 'fresh' end;
  if outcome <> 'fresh' then
    recipient_index := 0;
    return next;
    return;
  end if;

  -- Receivers compare the authorization with the time at which this request was authenticated: now.
  v_authorized := not p_withheld and exists (
    select from sender_authorizations where sender = p_sender and given - 600000 <= p_now and expires >= p_now
  );

  -- Judge every recipient before anything is written.
  for i in 1 .. v_count loop
    v_outcomes[i] := 'accepted';
    v_shown[i] := p_integers[i]::text;
    v_id_keys[i] := null;
    v_exceeded[i] := null;
    v_forwardable[i] := not p_withheld and (v_authorized or v_sealed or p_proofs[i] is not null);
    if v_deliveries[i] in ('local', 'parked') then
      v_recipient := lock_recipient(p_recipients[i]);
      v_made_recipient := v_made_recipient or v_recipient.last_position = 0;
    end if;

    if p_id_keys[i] is not null then
      select * into v_live from messages m where m.id_key = p_id_keys[i];
      if found then
        v_known.body_digest := case when not v_live.sealed and not v_sealed then digest_of(v_live.body) end;
        v_known.sealed := v_live.sealed;
        v_known.payment_digest := v_live.payment_digest;
        v_known.shown_id := v_live.shown_id;
        v_known.delivery := case when v_live.parked then 'parked' else 'local' end;
      else
        select * into v_known from client_message_ids where id_key = p_id_keys[i] and forget_at > p_now;
      end if;
      if not found then
        v_shown[i] := coalesce(p_client_ids[i], v_shown[i]);
        v_id_keys[i] := p_id_keys[i];
      elsif v_known.payment_digest is not distinct from p_payment_digest then
        if v_known.sealed or v_sealed or v_known.body_digest = digest_of(p_body) then
          v_outcomes[i] := 'repeat';
          v_deliveries[i] := v_known.delivery;
          v_shown[i] := v_known.shown_id;
          continue;
        end if;
        v_outcomes[i] := 'duplicate';
        v_refused := true;
        continue;
      end if;
    end if;
    if v_deliveries[i] = 'elsewhere' then
      v_outcomes[i] := 'elsewhere';
      v_refused := true;
      continue;
    end if;
    if v_deliveries[i] = 'forwarding' then
      if not v_forwardable[i] then
        v_outcomes[i] := 'unprovable';
        v_refused := true;
      end if;
      continue;
    end if;
    if is_name_known(v_recipient.id, p_names[i]) then
      v_outcomes[i] := 'repeat';
      continue;
    end if;
    -- Of two messages with one id the later is shown under its integer.
    if exists (select from messages m where m.recipient_id = v_recipient.id and m.shown_id = v_shown[i]) then
      v_shown[i] := p_integers[i]::text;
    end if;
    v_exceeded[i] := exceeded_quota(v_recipient, p_box, p_sender, false, octet_length(p_body), p_quotas);
    v_fees[i] := recipient_fee(p_recipients[i], p_box, p_sender);
    v_outcomes[i] := case
      when v_fees[i] < 0 then 'blocked'
      when v_exceeded[i] is not null then 'full'
      when v_fees[i] > coalesce(p_paid[i], 0) then 'due'
      else 'accepted'
    end;
    v_refused := v_refused or v_outcomes[i] <> 'accepted';
  end loop;

  if p_delivery_fee > 0 and p_paid is null and not v_refused and 'accepted' = any (v_outcomes) then
    if v_made_recipient then
      perform delete_unused_recipients(p_recipients);
    end if;
    recipient_index := 0; outcome := 'due'; fee := 0;
    return next;
    return;
  end if;
  if v_refused then
    if v_made_recipient then
      perform delete_unused_recipients(p_recipients);
    end if;
    for i in 1 .. v_count loop
      if v_outcomes[i] not in ('accepted', 'repeat') then
        recipient_index := i; outcome := v_outcomes[i]; exceeded := v_exceeded[i]; fee := v_fees[i]; domains := (
          select array[e.host] from messagebox_elsewhere e where e.recipient = p_recipients[i] and outcome = 'elsewhere'
        );
        return next;
      end if;
    end loop;
    return;
  end if;

  for i in 1 .. v_count loop
    recipient_index := i; outcome := v_outcomes[i]; delivery := v_deliveries[i]; shown_id := v_shown[i];
    forwardable := v_forwardable[i]; domains := null;
    if outcome = 'repeat' then
      -- Its sender is told that it is here, as it is, also where there is no room for it to count as his.
      select * into v_recipient from recipients where identity_key = p_recipients[i] for no key update;
      if found then
        v_improved := improve_proof(
          v_recipient, p_names[i], 'local', p_proofs[i], p_envelope_id, v_forwardable[i], p_body, p_wrapped,
          p_client_ids[i], p_now, p_expires_at[i], p_quotas
        );
        v_holds := v_holds + v_improved.held;
      end if;
    else
      if delivery <> 'forwarding' then
        perform store_message(
          p_recipients[i], p_box, p_names[i], shown_id, p_sender, p_body, p_wrapped, p_envelope_id, 'local',
          p_proofs[i], forwardable, delivery = 'parked', v_id_keys[i], p_payment_digest, v_sealed, null, p_now, p_now,
          p_expires_at[i]
        );
        v_holds := v_holds + 1;
      end if;
      if forwardable and delivery <> 'parked' then
        with planned as (
          insert into deliveries (
            domain, host_key, recipient, sender, message_box, message_id, name, envelope_id, id_key, lane,
            first_hand, first_seen, next_attempt_at, created_at, expires_at
          )
          select h.domain, h.operator_key, p_recipients[i], p_sender, p_box, v_shown[i], p_names[i], p_envelope_id,
            v_id_keys[i], lane_of(p_sender, p_recipients[i], p_box), true, p_now, p_now, p_now, p_expires_at[i]
          from chosen_hosts(p_recipients[i], p_self, p_expressions, p_matches) h
          where h.operator_key <> p_self
          on conflict (recipient, name, host_key) do nothing
          returning deliveries.domain
        )
        select array_agg(planned.domain), count(*) into domains, v_planned_count from planned;
        v_holds := v_holds + v_planned_count;
      end if;
      if delivery = 'parked' then
        perform request_lookup(p_recipients[i], p_now);
      end if;
      -- The message itself remembers its id while it is in a box.
      if v_id_keys[i] is not null and delivery = 'forwarding' then
        insert into client_message_ids as c
          (id_key, body_digest, sealed, payment_digest, shown_id, delivery, forget_at)
          values (v_id_keys[i], case when not v_sealed then digest_of(p_body) end, v_sealed, p_payment_digest,
            shown_id, delivery, p_expires_at[i])
          on conflict (id_key) do update set
            body_digest = excluded.body_digest, sealed = excluded.sealed, payment_digest = excluded.payment_digest,
            shown_id = excluded.shown_id, delivery = excluded.delivery, forget_at = excluded.forget_at
          where c.forget_at <= p_now;
        if not found then
          raise exception 'two requests with one id at once' using errcode = '40001';
        end if;
      end if;
    end if;
    return next;
  end loop;
  if v_made_recipient then
    perform delete_unused_recipients(p_recipients);
  end if;

  if v_holds > 0 then
    perform hold_envelope(
      p_envelope_id, p_sender, p_format, p_key_id, p_signed, p_signature, p_withheld, null, null, p_now, v_holds
    );
    if v_sealed then
      insert into sent_ciphertexts (ciphertext_key, message_box, forget_at)
        values (p_ciphertext_key, p_box, (select max(e) from unnest(p_expires_at) e) + p_forget_after) on conflict do nothing;
    end if;
    if exists (select from early_acknowledgements e where e.name = any (p_names)) then
      perform apply_early_acknowledgements(p_recipients, p_names, p_now, p_forget_after);
    end if;
  end if;
end $$;

-- Those of p_requests whose message is simply handed on, all at once: its recipient has up to four hosts, for every box, and
-- this one is not among them; it can be proven there, and its id is new. Answers nothing for the others. Parameters as of
-- accept_sent_batch.
create function forward_sent_batch(
  p_requests integer[], p_self bytea, p_bytes bytea, p_starts integer[], p_body_lengths integer[],
  p_signed_lengths integer[], p_signature_lengths integer[], p_digests uuid[], p_issued_at bigint[],
  p_forget_at bigint[], p_now bigint[], p_boxes text[], p_payment_digests uuid[], p_ciphertext_keys uuid[],
  p_formats text[], p_key_ids text[], p_withheld boolean[], p_integers bigint[], p_client_ids text[], p_id_keys uuid[],
  p_proofs jsonb[], p_expires_at bigint[], p_forget_after bigint
) returns table (request integer, outcome text, shown_id text, domains text[]) language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
  return query
    with asked as materialized (
      select a.request, coalesce(p_client_ids[a.request], p_integers[a.request]::text) as shown,
        substr(p_bytes, a.start, 33) as sender, substr(p_bytes, a.start + 33, 33) as recipient,
        substr(p_bytes, a.start + 66, 32) as name, substr(p_bytes, a.start + 98, 32) as envelope_id,
        p_now[a.request] as now, p_expires_at[a.request] as expires_at, p_digests[a.request] as digest,
        p_id_keys[a.request] as id_key, p_ciphertext_keys[a.request] as ciphertext_key, p_boxes[a.request] as box
      from (select r.request, p_starts[r.request] as start from unnest(p_requests) r (request)) a
    ), ordinary as materialized (
      select a.* from asked a
      where not p_withheld[a.request]
        and (
          select count(*) between 1 and 4 and bool_and(h.operator_key <> p_self and h.box_expression is null) from (
            select o.operator_key, o.box_expression from phip_hosts o where o.recipient = a.recipient and o.live
            order by o.first_seen desc limit 5
          ) h
        )
        and (
          a.ciphertext_key is not null or p_proofs[a.request] is not null or exists (
            select from sender_authorizations s where s.sender = a.sender and s.given - 600000 <= a.now and s.expires >= a.now
          )
        )
        and not exists (select from messages m where m.id_key = a.id_key)
        and not exists (select from client_message_ids c where c.id_key = a.id_key)
        and not exists (select from early_acknowledgements e where e.name = a.name)
        and not exists (select from deliveries d where d.recipient = a.recipient and d.name = a.name)
        and p_issued_at[a.request] >= (
          select born_at from seen_requests_birth where only_row and system_identifier = own_system_identifier()
        )
    ), admitted as (
      insert into seen_requests (digest, slot) select o.digest, seen_slot(p_issued_at[o.request], p_forget_at[o.request]) from ordinary o
      on conflict do nothing
      returning digest
    ), accepted as materialized (
      select * from ordinary o where o.digest in (select a.digest from admitted a)
    ), planned as (
      insert into deliveries (
        domain, host_key, recipient, sender, message_box, message_id, name, envelope_id, id_key, lane, first_hand,
        first_seen, next_attempt_at, created_at, expires_at
      )
      select h.domain, h.operator_key, a.recipient, a.sender, a.box, a.shown, a.name, a.envelope_id, a.id_key,
        lane_of(a.sender, a.recipient, a.box), true, a.now, a.now, a.now, a.expires_at
      from accepted a join phip_hosts h on h.recipient = a.recipient and h.live
      order by a.request
      returning deliveries.domain, deliveries.envelope_id
    ), taken as materialized (
      select p.envelope_id, array_agg(p.domain) as domains, count(*)::integer as holds from planned p group by p.envelope_id
    ), held as (
      insert into envelopes as e (id, sender, format, key_id, signed_bytes, signature, withheld, received_at, holds)
      select a.envelope_id, a.sender, p_formats[a.request], p_key_ids[a.request],
        substr(p_bytes, p_starts[a.request] + 130 + p_body_lengths[a.request], p_signed_lengths[a.request]),
        substr(
          p_bytes, p_starts[a.request] + 130 + p_body_lengths[a.request] + p_signed_lengths[a.request],
          p_signature_lengths[a.request]
        ), false, a.now, t.holds
      from accepted a join taken t on t.envelope_id = a.envelope_id
      on conflict (id) do update set holds = e.holds + excluded.holds
    ), identified as (
      insert into client_message_ids (id_key, body_digest, sealed, payment_digest, shown_id, delivery, forget_at)
      select a.id_key, case when a.ciphertext_key is null then
          digest_of(substr(p_bytes, p_starts[a.request] + 130, p_body_lengths[a.request])) end,
        a.ciphertext_key is not null, p_payment_digests[a.request], a.shown, 'forwarding', a.expires_at
      from accepted a where a.id_key is not null
    ), remembered as (
      insert into sent_ciphertexts (ciphertext_key, message_box, forget_at)
      select a.ciphertext_key, a.box, a.expires_at + p_forget_after from accepted a where a.ciphertext_key is not null
      on conflict do nothing
    )
    select o.request, case when a.request is null then 'replayed' else 'accepted' end, o.shown, t.domains
    from ordinary o left join accepted a on a.request = o.request left join taken t on t.envelope_id = a.envelope_id;
end $$;

-- accept_sent for many requests of one recipient each, in one commit; in ascending order of the recipients, and no two of
-- them with the same digest, name, id or envelope. Most are ordinary: to a known box with room, of a recipient whose mail stays
-- here, under names and ids that are new. All of those are done by one statement, those for other hosts only by another; the
-- rest one after the other.
--
-- p_bytes holds, for each request, sender (33), recipient (33), name (32), envelope id (32), body, signed bytes and signature;
-- p_starts where that begins, from 1.
create function accept_sent_batch(
  p_self bytea, p_bytes bytea, p_starts integer[], p_body_lengths integer[], p_signed_lengths integer[],
  p_signature_lengths integer[], p_digests uuid[], p_issued_at bigint[], p_forget_at bigint[], p_now bigint[],
  p_boxes text[], p_wrapped boolean[], p_payment_digests uuid[], p_ciphertext_keys uuid[], p_formats text[],
  p_key_ids text[], p_withheld boolean[], p_integers bigint[], p_client_ids text[], p_id_keys uuid[], p_proofs jsonb[],
  p_expires_at bigint[], p_forget_after bigint, p_quotas quotas
) returns table (
  request integer, recipient_index integer, outcome text, delivery text, shown_id text, forwardable boolean,
  domains text[], expressions text[], exceeded text, fee bigint
) language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_recipients bytea[];
  v_row record;
  v_others integer[] := '{}';
  v_at integer;
begin
  recipient_index := 1;
  select array_agg(substr(p_bytes, start + 33, 33)) into v_recipients from unnest(p_starts) start;
  perform pg_advisory_xact_lock_shared(recipient_lock_key(recipient)) from unnest(v_recipients) recipient;
  perform from recipients where identity_key = any (v_recipients) order by identity_key for no key update;

  for v_row in
    with asked as materialized (
      select a.*, octet_length(a.body) as bytes, coalesce(a.client_id, a.public_integer::text) as shown,
        r.id as recipient_id, r.last_position, r.message_count, r.byte_count, r.counts_senders,
        (select b.id from message_boxes b where b.recipient = a.recipient and b.name = a.box) as box_id,
        -- null: no host; 1: this one, for every box; 2: what accept_sent has to say
        coalesce((
          select max(case when h.operator_key = p_self and h.box_expression is null then 1 else 2 end) from (
            select o.operator_key, o.box_expression from phip_hosts o where o.recipient = a.recipient and o.live
            order by o.first_seen desc limit 2
          ) h
        ), (select 2 from messagebox_elsewhere e where e.recipient = a.recipient)) as route,
        not a.withheld and (
          a.ciphertext_key is not null or a.proof is not null or exists (
            select from sender_authorizations s where s.sender = a.sender and s.given - 600000 <= a.now and s.expires >= a.now
          )
        ) as is_forwardable,
        row_number() over (partition by a.recipient order by a.request) as nth,
        count(*) over (partition by a.recipient) as together,
        sum(octet_length(a.body)) over (partition by a.recipient) as bytes_together
      from (
        select substr(p_bytes, start, 33) as sender, substr(p_bytes, start + 33, 33) as recipient,
          substr(p_bytes, start + 66, 32) as name, substr(p_bytes, start + 98, 32) as envelope_id,
          substr(p_bytes, start + 130, body_length) as body,
          substr(p_bytes, start + 130 + body_length, signed_length) as signed,
          substr(p_bytes, start + 130 + body_length + signed_length, signature_length) as signature, u.*
        from unnest(
          p_starts, p_body_lengths, p_signed_lengths, p_signature_lengths, p_digests, p_issued_at, p_forget_at, p_now,
          p_boxes, p_wrapped, p_payment_digests, p_ciphertext_keys, p_formats, p_key_ids, p_withheld, p_integers,
          p_client_ids, p_id_keys, p_proofs, p_expires_at
        ) with ordinality u (
          start, body_length, signed_length, signature_length, digest, issued_at, forget_at, now,
          box, wrapped, payment_digest, ciphertext_key, format, key_id, withheld, public_integer,
          client_id, id_key, proof, expires_at, request
        )
      ) a left join recipients r on r.identity_key = a.recipient
    ), ordinary as materialized (
      select a.* from asked a
      where a.box_id is not null and a.route is distinct from 2
        and not a.counts_senders
        and a.message_count + a.together <= least(p_quotas.messages, p_quotas.messages_of_sender)
        and a.byte_count + a.bytes_together <= p_quotas.bytes
        and not exists (select from messages m where m.recipient_id = a.recipient_id and m.name = a.name)
        and not exists (select from message_names n where n.recipient_id = a.recipient_id and n.name = a.name)
        and not exists (select from messages m where m.recipient_id = a.recipient_id and m.shown_id = a.shown)
        and not exists (select from messages m where m.id_key = a.id_key)
        and not exists (select from client_message_ids c where c.id_key = a.id_key)
        and not exists (select from early_acknowledgements e where e.name = a.name)
        -- as recipient_fee says, which is too dear to call for each
        and coalesce(
          (select p.recipient_fee from permissions p
            where p.recipient = a.recipient and p.message_box = a.box and p.sender = a.sender),
          (select p.recipient_fee from permissions p
            where p.recipient = a.recipient and p.message_box = a.box and p.sender = ''),
          default_recipient_fee(a.box)
        ) = 0
        and a.issued_at >= (select born_at from seen_requests_birth where only_row and system_identifier = own_system_identifier())
    ), admitted as (
      insert into seen_requests (digest, slot) select o.digest, seen_slot(o.issued_at, o.forget_at) from ordinary o
      on conflict do nothing
      returning digest
    ), accepted as materialized (
      select * from ordinary o where o.digest in (select a.digest from admitted a)
    ), stored as (
      insert into messages (
        box_id, position, recipient_id, name, shown_id, sender, body, wrapped, envelope_id, origin, proof, forwardable,
        parked, id_key, payment_digest, sealed, bytes, first_seen, created_at, expires_at
      )
      select a.box_id, a.last_position + a.nth, a.recipient_id, a.name, a.shown, a.sender, a.body, a.wrapped, a.envelope_id,
        'local', a.proof, a.is_forwardable, a.route is null, a.id_key, a.payment_digest, a.ciphertext_key is not null,
        a.bytes, a.now, a.now, a.expires_at
      from accepted a
    ), held as (
      insert into envelopes as e (id, sender, format, key_id, signed_bytes, signature, withheld, received_at, holds)
      select a.envelope_id, a.sender, a.format, a.key_id, a.signed, a.signature, a.withheld, a.now, 1 from accepted a
      on conflict (id) do update set holds = e.holds + 1
    ), counted as (
      update recipients r set
        last_position = r.last_position + a.places, message_count = r.message_count + a.messages,
        byte_count = r.byte_count + a.bytes
      from (
        select recipient_id, max(nth) as places, count(*) as messages, sum(bytes) as bytes from accepted group by recipient_id
      ) a
      where r.id = a.recipient_id
    ), remembered as (
      insert into sent_ciphertexts (ciphertext_key, message_box, forget_at)
      select a.ciphertext_key, a.box, a.expires_at + p_forget_after from accepted a where a.ciphertext_key is not null
      on conflict do nothing
    ), lookups as (
      insert into recipient_lookups (recipient, next_lookup_at, interval)
      select a.recipient, a.now, 600000 from accepted a
      where a.route is null and a.nth = 1
        and not exists (select from recipient_lookups l where l.recipient = a.recipient)
      on conflict do nothing
    )
    select a.request::integer, a.shown, a.is_forwardable, case when a.route is null then 'parked' else 'local' end as delivery,
      case
        when a.request in (select o.request from accepted o) then 'accepted'
        when a.request in (select o.request from ordinary o) then 'replayed'
      end as outcome
    from asked a
  loop
    if v_row.outcome is null then
      v_others := v_others || v_row.request;
    else
      request := v_row.request; outcome := v_row.outcome; delivery := v_row.delivery; shown_id := v_row.shown;
      forwardable := v_row.is_forwardable;
      return next;
    end if;
  end loop;

  if v_others <> '{}' then
    for v_row in
      select * from forward_sent_batch(
        v_others, p_self, p_bytes, p_starts, p_body_lengths, p_signed_lengths, p_signature_lengths, p_digests, p_issued_at,
        p_forget_at, p_now, p_boxes, p_payment_digests, p_ciphertext_keys, p_formats, p_key_ids, p_withheld, p_integers,
        p_client_ids, p_id_keys, p_proofs, p_expires_at, p_forget_after
      )
    loop
      v_others := array_remove(v_others, v_row.request);
      request := v_row.request; outcome := v_row.outcome; delivery := 'forwarding'; shown_id := v_row.shown_id;
      forwardable := true; domains := v_row.domains;
      return next;
    end loop;
    domains := null;
  end if;

  foreach request in array v_others loop
    v_at := p_starts[request] + 130;
    return query select request, a.* from accept_sent(
      p_digests[request], p_issued_at[request], p_forget_at[request], p_now[request], p_self,
      substr(p_bytes, v_at - 130, 33), p_boxes[request], substr(p_bytes, v_at, p_body_lengths[request]),
      p_wrapped[request], p_payment_digests[request], p_ciphertext_keys[request], substr(p_bytes, v_at - 32, 32),
      p_formats[request], p_key_ids[request],
      substr(p_bytes, v_at + p_body_lengths[request], p_signed_lengths[request]),
      substr(p_bytes, v_at + p_body_lengths[request] + p_signed_lengths[request], p_signature_lengths[request]),
      p_withheld[request], array[v_recipients[request]], array[substr(p_bytes, v_at - 64, 32)],
      array[p_integers[request]], array[p_client_ids[request]], array[p_id_keys[request]], array[p_proofs[request]],
      array[p_expires_at[request]], '{}', '{}', p_forget_after, p_quotas
    ) a;
  end loop;
end $$;

-- The sender's authorization of this host counts for nothing if it was given before his last token at that host ended,
-- unless one is live (protocol section 4).
create function authorization_void(p_sender bytea, p_host_key bytea, p_given bigint) returns boolean
language sql stable as $$
  select not exists (select from live_hosts(p_sender) where operator_key = p_host_key)
    and p_given < greatest(
      (select max(spent_at) from phip_tokens where recipient = p_sender and operator_key = p_host_key),
      (select max(w.admitted_at) from phip_withdrawals w
       join phip_tokens t on t.recipient = w.recipient and t.authorization_text_digest = w.text_digest
       where w.recipient = p_sender and t.operator_key = p_host_key)
    )
$$;

-- The same door for what other hosts hand on (POST /propagateMessage): every recipient is judged for himself. The arrays run
-- in ascending order of the recipients.
--
-- Answers one row per recipient: 'accepted', 'repeat', 'not-home', 'void' (his home host's authorization), 'reflected',
-- 'boxed-again', 'unsealed-only' (he takes no sealed ones into this box), 'blocked' (he blocks the sender), 'due' (his
-- `fee`, which is more than p_paid), 'full' (`exceeded` names the limit); or one row 'unknown', 'replayed' or 'match'. p_host handed it on.
create function accept_propagated(
  p_digest uuid, p_issued_at bigint, p_forget_at bigint,
  p_now bigint, p_sender bytea, p_box text, p_body bytea, p_wrapped boolean,
  p_envelope_id bytea, p_format text, p_key_id text, p_signed bytea, p_signature bytea,
  p_key_linkage bytea, p_envelope_proof jsonb, p_received_at bigint, p_attesting_host bytea, p_given bigint,
  p_recipients bytea[], p_names bytea[], p_integers bigint[], p_client_ids text[], p_origins text[], p_proofs jsonb[],
  p_reflection_keys uuid[], p_first_seen bigint[], p_expires_at bigint[],
  p_expressions text[], p_matches boolean[],
  p_host bytea, p_forget_after bigint, p_quotas quotas, p_ciphertext_key uuid, p_paid bigint[] default null
) returns table (recipient_index integer, outcome text, expressions text[], exceeded text, fee bigint)
language plpgsql as $$
declare
  v_expression text;
  v_origin text;
  v_void boolean;
  v_shown text;
  v_recipient recipients;
  v_improved record;
  v_holds integer := 0;
begin
  select array_agg(distinct a.box_expression) into expressions from routing_authorizations a
    where a.recipient = any (p_recipients) and a.box_expression is not null and a.revoked_at is null
      and not a.box_expression = any (p_expressions);
  if expressions is not null then
    recipient_index := 0; outcome := 'match';
    return next;
    return;
  end if;
  outcome := admit_request(p_digest, p_issued_at, p_forget_at);
  if outcome <> 'fresh' then
    recipient_index := 0;
    return next;
    return;
  end if;

  for i in 1 .. cardinality(p_recipients) loop
    recipient_index := i;
    outcome := 'accepted';
    exceeded := null;
    fee := null;
    -- An attestation that counts for nothing takes nothing away from a sealed body.
    v_void := p_origins[i] = 'home-host' and authorization_void(p_sender, p_attesting_host, p_given);
    v_origin := case when v_void and p_reflection_keys[i] is not null then 'sealed' else p_origins[i] end;
    select a.box_expression into v_expression from routing_authorizations a
      where a.recipient = p_recipients[i] and a.revoked_at is null;
    if not found or not coalesce(p_matches[array_position(p_expressions, v_expression)], v_expression is null) then
      outcome := 'not-home';
    elsif v_void and v_origin = 'home-host' then
      outcome := 'void';
    elsif v_origin = 'sealed'
      and exists (select from sent_ciphertexts where ciphertext_key = p_reflection_keys[i]) then
      outcome := 'reflected';
    elsif v_origin = 'sealed' and exists (
      select from sent_ciphertexts where ciphertext_key = p_ciphertext_key and message_box <> p_box
    ) then
      outcome := 'boxed-again';
    else
      v_recipient := lock_recipient(p_recipients[i]);
      if is_name_known(v_recipient.id, p_names[i]) then
        outcome := 'repeat';
        v_improved := improve_proof(
          v_recipient, p_names[i], v_origin, p_proofs[i], p_envelope_id, true, p_body, p_wrapped, p_client_ids[i],
          p_first_seen[i], p_expires_at[i], p_quotas
        );
        v_holds := v_holds + v_improved.held;
        if v_origin = 'sealed' then
          -- Of several statements when it was first seen the latest counts.
          update messages m set first_seen = p_first_seen[i], expires_at = p_expires_at[i]
            where m.recipient_id = v_recipient.id and m.name = p_names[i] and m.origin = 'sealed'
              and m.first_seen < p_first_seen[i];
          update message_names set forget_at = p_expires_at[i] + p_forget_after
            where recipient_id = v_recipient.id and name = p_names[i] and forget_at < p_expires_at[i] + p_forget_after;
        end if;
        exceeded := v_improved.exceeded;
      elsif v_origin = 'sealed' and not takes_sealed(p_recipients[i], p_box) then
        outcome := 'unsealed-only';
      else
        fee := fee_of_propagated(
          p_recipients[i], p_box, p_sender, p_host, case v_origin
            when 'signature' then (p_proofs[i]->>'createdAt')::bigint
            when 'sealed' then p_first_seen[i]
            else p_received_at
          end
        );
        if fee < 0 then
          outcome := 'blocked';
        elsif fee > coalesce(p_paid[i], 0) then
          outcome := 'due';
        else
          exceeded := exceeded_quota(
            v_recipient, p_box, case when v_origin = 'sealed' then p_host else p_sender end, v_origin = 'sealed',
            octet_length(p_body), p_quotas
          );
        end if;
        if outcome = 'accepted' and exceeded is null then
          v_shown := p_integers[i]::text;
          if p_client_ids[i] is not null and not exists (
            select from messages m where m.recipient_id = v_recipient.id and m.shown_id = p_client_ids[i]
          ) then
            v_shown := p_client_ids[i];
          end if;
          perform store_message(
            p_recipients[i], p_box, p_names[i], v_shown, p_sender, p_body, p_wrapped, p_envelope_id, v_origin,
            p_proofs[i], true, false, null, null, p_reflection_keys[i] is not null,
            case when v_origin = 'sealed' then p_host end, p_first_seen[i], p_now, p_expires_at[i]
          );
          v_holds := v_holds + 1;
        end if;
      end if;
      if exceeded is not null then
        outcome := 'full';
      end if;
    end if;
    -- An unproven one is remembered by its name alone: else a stranger who is faster would keep the genuine one away.
    if p_ciphertext_key is not null and v_origin <> 'sealed' and outcome in ('accepted', 'repeat') then
      insert into sent_ciphertexts (ciphertext_key, message_box, forget_at)
        values (p_ciphertext_key, p_box, p_expires_at[i] + p_forget_after) on conflict do nothing;
    end if;
    return next;
  end loop;
  perform delete_unused_recipients(p_recipients);

  if v_holds > 0 then
    perform hold_envelope(
      p_envelope_id, p_sender, p_format, p_key_id, p_signed, p_signature, false, p_key_linkage, p_envelope_proof,
      p_received_at, v_holds
    );
    if exists (select from early_acknowledgements e where e.name = any (p_names)) then
      perform apply_early_acknowledgements(p_recipients, p_names, p_now, p_forget_after);
    end if;
  end if;
end $$;

-- accept_propagated for many requests of one recipient each, in one commit; in ascending order of the recipients. Those that
-- are ordinary are done by one statement: into a known box with room, of a recipient who is at home here for every box and
-- asks no fee, from a sender who is proven. The others, and all but the first of those that have something in common, follow
-- one after the other, and see what became of those before.
--
-- p_bytes holds, for each request, sender (33), recipient (33), host (33), name (32), envelope id (32), body, signed bytes,
-- signature and key linkage; p_starts where that begins, from 1.
create function accept_propagated_batch(
  p_bytes bytea, p_starts integer[], p_body_lengths integer[], p_signed_lengths integer[], p_signature_lengths integer[],
  p_linkage_lengths integer[], p_digests uuid[], p_issued_at bigint[], p_forget_at bigint[], p_now bigint[],
  p_boxes text[], p_wrapped boolean[], p_formats text[], p_key_ids text[], p_envelope_proofs jsonb[],
  p_received_at bigint[], p_attesting_hosts bytea[], p_given bigint[], p_integers bigint[], p_client_ids text[],
  p_origins text[], p_proofs jsonb[], p_reflection_keys uuid[], p_ciphertext_keys uuid[], p_first_seen bigint[],
  p_expires_at bigint[], p_forget_after bigint, p_quotas quotas
) returns table (
  request integer, recipient_index integer, outcome text, expressions text[], exceeded text, fee bigint
) language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_recipients bytea[];
  v_row record;
  v_others integer[] := '{}';
  v_at integer;
begin
  recipient_index := 1;
  select array_agg(substr(p_bytes, start + 33, 33)) into v_recipients from unnest(p_starts) start;
  perform from recipients where identity_key = any (v_recipients) order by identity_key for no key update;

  for v_row in
    with asked as materialized (
      select a.*, octet_length(a.body) as bytes, coalesce(a.client_id, a.public_integer::text) as shown,
        r.id as recipient_id, r.last_position, r.message_count, r.byte_count, r.counts_senders,
        (select b.id from message_boxes b where b.recipient = a.recipient and b.name = a.box) as box_id,
        row_number() over (partition by a.recipient order by a.request) as nth,
        count(*) over (partition by a.recipient) as together,
        sum(octet_length(a.body)) over (partition by a.recipient) as bytes_together,
        row_number() over (partition by a.recipient, a.name order by a.request)
          + row_number() over (partition by a.recipient, coalesce(a.client_id, a.public_integer::text) order by a.request)
          + row_number() over (partition by a.envelope_id order by a.request)
          + row_number() over (partition by a.digest order by a.request) = 4 as is_first
      from (
        select substr(p_bytes, start, 33) as sender, substr(p_bytes, start + 33, 33) as recipient,
          substr(p_bytes, start + 99, 32) as name, substr(p_bytes, start + 131, 32) as envelope_id,
          substr(p_bytes, start + 163, body_length) as body,
          substr(p_bytes, start + 163 + body_length, signed_length) as signed,
          substr(p_bytes, start + 163 + body_length + signed_length, signature_length) as signature,
          substr(p_bytes, start + 163 + body_length + signed_length + signature_length, linkage_length) as key_linkage, u.*
        from unnest(
          p_starts, p_body_lengths, p_signed_lengths, p_signature_lengths, p_linkage_lengths, p_digests, p_issued_at,
          p_forget_at, p_now, p_boxes, p_wrapped, p_formats, p_key_ids, p_envelope_proofs, p_received_at, p_attesting_hosts,
          p_given, p_integers, p_client_ids, p_origins, p_proofs, p_reflection_keys, p_ciphertext_keys, p_first_seen,
          p_expires_at
        ) with ordinality u (
          start, body_length, signed_length, signature_length, linkage_length, digest, issued_at,
          forget_at, now, box, wrapped, format, key_id, envelope_proof, received_at, attesting_host,
          given, public_integer, client_id, origin, proof, reflection_key, ciphertext_key, first_seen,
          expires_at, request
        )
      ) a left join recipients r on r.identity_key = a.recipient
    ), ordinary as materialized (
      select a.* from asked a
      where a.is_first and a.box_id is not null and a.origin in ('signature', 'home-host')
        and exists (
          select from routing_authorizations h
          where h.recipient = a.recipient and h.revoked_at is null and h.box_expression is null
        )
        and not a.counts_senders
        and a.message_count + a.together <= least(p_quotas.messages, p_quotas.messages_of_sender)
        and a.byte_count + a.bytes_together <= p_quotas.bytes
        and not exists (select from messages m where m.recipient_id = a.recipient_id and m.name = a.name)
        and not exists (select from message_names n where n.recipient_id = a.recipient_id and n.name = a.name)
        and not exists (select from messages m where m.recipient_id = a.recipient_id and m.shown_id = a.shown)
        and not exists (select from early_acknowledgements e where e.name = a.name)
        -- as recipient_fee says, which is too dear to call for each
        and coalesce(
          (select p.recipient_fee from permissions p
            where p.recipient = a.recipient and p.message_box = a.box and p.sender = a.sender),
          (select p.recipient_fee from permissions p
            where p.recipient = a.recipient and p.message_box = a.box and p.sender = ''),
          default_recipient_fee(a.box)
        ) = 0
        and a.issued_at >= (select born_at from seen_requests_birth where only_row and system_identifier = own_system_identifier())
        -- no authorization is void of a sender who never had a token there
        and case
          when a.origin = 'home-host'
            and exists (select from phip_hosts h where h.recipient = a.sender and h.operator_key = a.attesting_host)
          then not coalesce(authorization_void(a.sender, a.attesting_host, a.given), false)
          else true
        end
    ), admitted as (
      insert into seen_requests (digest, slot) select o.digest, seen_slot(o.issued_at, o.forget_at) from ordinary o
      on conflict do nothing
      returning digest
    ), accepted as materialized (
      select * from ordinary o where o.digest in (select a.digest from admitted a)
    ), stored as (
      insert into messages (
        box_id, position, recipient_id, name, shown_id, sender, body, wrapped, envelope_id, origin, proof, forwardable,
        parked, sealed, bytes, first_seen, created_at, expires_at
      )
      select a.box_id, a.last_position + a.nth, a.recipient_id, a.name, a.shown, a.sender, a.body, a.wrapped, a.envelope_id,
        a.origin, a.proof, true, false, a.reflection_key is not null, a.bytes, a.first_seen, a.now, a.expires_at
      from accepted a
    ), held as (
      insert into envelopes as e (
        id, sender, format, key_id, signed_bytes, signature, withheld, key_linkage, proof, received_at, holds
      )
      select a.envelope_id, a.sender, a.format, a.key_id, a.signed, a.signature, false, a.key_linkage, a.envelope_proof,
        a.received_at, 1
      from accepted a
      on conflict (id) do update set holds = e.holds + 1, proof = coalesce(e.proof, excluded.proof)
    ), counted as (
      update recipients r set
        last_position = r.last_position + a.places, message_count = r.message_count + a.messages,
        byte_count = r.byte_count + a.bytes
      from (
        select recipient_id, max(nth) as places, count(*) as messages, sum(bytes) as bytes from accepted group by recipient_id
      ) a
      where r.id = a.recipient_id
    ), remembered as (
      insert into sent_ciphertexts (ciphertext_key, message_box, forget_at)
      select a.ciphertext_key, a.box, a.expires_at + p_forget_after from accepted a where a.ciphertext_key is not null
      on conflict do nothing
    )
    select a.request::integer, case
      when a.request in (select o.request from accepted o) then 'accepted'
      when a.request in (select o.request from ordinary o) then 'replayed'
    end as outcome
    from asked a
  loop
    if v_row.outcome is null then
      v_others := v_others || v_row.request;
    else
      request := v_row.request; outcome := v_row.outcome;
      return next;
    end if;
  end loop;

  foreach request in array v_others loop
    v_at := p_starts[request] + 163;
    return query select request, a.* from accept_propagated(
      p_digests[request], p_issued_at[request], p_forget_at[request], p_now[request], substr(p_bytes, v_at - 163, 33),
      p_boxes[request], substr(p_bytes, v_at, p_body_lengths[request]), p_wrapped[request], substr(p_bytes, v_at - 32, 32),
      p_formats[request], p_key_ids[request],
      substr(p_bytes, v_at + p_body_lengths[request], p_signed_lengths[request]),
      substr(p_bytes, v_at + p_body_lengths[request] + p_signed_lengths[request], p_signature_lengths[request]),
      substr(
        p_bytes, v_at + p_body_lengths[request] + p_signed_lengths[request] + p_signature_lengths[request],
        p_linkage_lengths[request]
      ),
      p_envelope_proofs[request], p_received_at[request], p_attesting_hosts[request], p_given[request],
      array[v_recipients[request]], array[substr(p_bytes, v_at - 64, 32)], array[p_integers[request]],
      array[p_client_ids[request]], array[p_origins[request]], array[p_proofs[request]],
      array[p_reflection_keys[request]], array[p_first_seen[request]], array[p_expires_at[request]], '{}', '{}',
      substr(p_bytes, v_at - 97, 33), p_forget_after, p_quotas, p_ciphertext_keys[request]
    ) a;
  end loop;
end $$;
