-- The doors by which messages enter: what this node's own users send, and what other hosts hand on. Both end in
-- store_message, the one way into a box.

-- Puts one message into its box. The name must be new: two at once collide on its key, and the second one tries again.
create function store_message(
  p_recipient bytea, p_box text, p_name bytea, p_shown_id text, p_sender bytea, p_body bytea, p_wrapped boolean,
  p_envelope_id bytea, p_origin text, p_proof jsonb, p_forwardable boolean, p_parked boolean, p_id_key uuid,
  p_first_seen bigint, p_now bigint, p_expires_at bigint, p_forget_after bigint,
  p_max_messages bigint, p_max_bytes bigint
) returns void language plpgsql as $$
declare
  v_bytes integer := octet_length(p_body);
  v_box message_boxes%rowtype;
begin
  insert into message_boxes as b (recipient, name, message_count, byte_count, last_position)
    values (p_recipient, p_box, 1, v_bytes, 1)
    on conflict (recipient, name) do update set
      message_count = b.message_count + 1, byte_count = b.byte_count + v_bytes, last_position = b.last_position + 1
    returning * into v_box;
  if v_box.message_count > p_max_messages or v_box.byte_count > p_max_bytes then
    raise exception 'box full' using errcode = 'PS507', detail = encode(p_recipient, 'hex');
  end if;
  insert into message_names (recipient, name, box_id, position, forget_at)
    values (p_recipient, p_name, v_box.id, v_box.last_position, p_expires_at + p_forget_after);
  insert into messages (
    box_id, position, recipient, name, shown_id, sender, body, wrapped, envelope_id, origin, proof, forwardable, parked,
    id_key, bytes, first_seen, created_at, expires_at
  ) values (
    v_box.id, v_box.last_position, p_recipient, p_name, p_shown_id, p_sender, p_body, p_wrapped, p_envelope_id,
    p_origin, p_proof, p_forwardable, p_parked, p_id_key, v_bytes, p_first_seen, p_now, p_expires_at
  );
end $$;

-- Keeps an envelope for p_holds messages and deliveries.
create function hold_envelope(
  p_id bytea, p_sender bytea, p_format text, p_key_id text, p_signed bytea, p_signature bytea, p_withheld boolean,
  p_key_linkage bytea, p_proof jsonb, p_received_at bigint, p_holds integer
) returns void language sql as $$
  insert into envelopes as e (
    id, sender, format, key_id, signed_bytes, signature, withheld, key_linkage, proof, received_at, holds
  ) values (
    p_id, p_sender, p_format, p_key_id, p_signed, p_signature, p_withheld, p_key_linkage, p_proof, p_received_at, p_holds
  )
  on conflict (id) do update set
    holds = e.holds + excluded.holds,
    -- a better proof of the same request replaces none
    proof = coalesce(e.proof, excluded.proof)
$$;

-- A sealed message gives way to a better proof of the same ciphertext, with the words, the id and the time that this proof
-- speaks of: a stranger who sent the ciphertext first decides nothing of that. Answers how many holds of the envelope it took.
create function improve_proof(
  p_recipient bytea, p_name bytea, p_origin text, p_proof jsonb, p_envelope_id bytea, p_forwardable boolean,
  p_body bytea, p_wrapped boolean, p_client_id text, p_first_seen bigint, p_expires_at bigint, p_forget_after bigint
) returns integer language plpgsql as $$
declare
  v_message messages%rowtype;
  v_shown text;
  v_bytes integer := octet_length(p_body);
begin
  if p_origin = 'sealed' then
    return 0;
  end if;
  -- Boxes before messages, as everybody locks them.
  perform from message_boxes b where b.id = (
    select n.box_id from message_names n where n.recipient = p_recipient and n.name = p_name
  ) for update;
  select m.* into v_message
    from message_names n join messages m on m.box_id = n.box_id and m.position = n.position
    where n.recipient = p_recipient and n.name = p_name and m.name = p_name and m.origin = 'sealed';
  if not found then
    return 0;
  end if;
  v_shown := v_message.shown_id;
  if p_client_id is not null and not exists (
    select from messages m where m.recipient = p_recipient and m.shown_id = p_client_id
  ) then
    v_shown := p_client_id;
  end if;
  update messages m set
    origin = p_origin, proof = p_proof, envelope_id = p_envelope_id, forwardable = p_forwardable, body = p_body,
    wrapped = p_wrapped, bytes = v_bytes, shown_id = v_shown, first_seen = p_first_seen, expires_at = p_expires_at
    where m.box_id = v_message.box_id and m.position = v_message.position;
  update message_boxes set byte_count = byte_count - v_message.bytes + v_bytes where id = v_message.box_id;
  update message_names set forget_at = p_expires_at + p_forget_after
    where recipient = p_recipient and name = p_name;
  perform release_envelopes(array[v_message.envelope_id]);
  return 1;
end $$;

-- The one door for messages that this node's own users send (POST /sendMessage). All recipients or none.
-- The arrays run over the recipients in ascending order of their keys, as everybody locks them.
--
-- Answers one row per recipient: outcome 'accepted' or 'repeat', how it is delivered, the id shown, and the domains to
-- nudge; or, storing nothing, rows with another outcome: 'unknown' or 'replayed' (the request), 'match' (expressions
-- that the caller must match first), 'unprovable', 'duplicate', 'full' (that recipient).
create function accept_sent(
  p_digest uuid, p_issued_at bigint, p_forget_at bigint,
  p_now bigint, p_self bytea, p_sender bytea, p_box text, p_body bytea, p_wrapped boolean,
  p_body_digest uuid, p_payment_digest uuid, p_ciphertext_key uuid,
  p_envelope_id bytea, p_format text, p_key_id text, p_signed bytea, p_signature bytea, p_withheld boolean,
  p_recipients bytea[], p_names bytea[], p_integers bigint[], p_client_ids text[], p_id_keys uuid[],
  p_proofs jsonb[], p_expires_at bigint[],
  p_expressions text[], p_matches boolean[],
  p_forget_after bigint, p_max_messages bigint, p_max_bytes bigint
) returns table (
  recipient_index integer, outcome text, delivery text, shown_id text, forwardable boolean,
  domains text[], expressions text[]
) language plpgsql as $$
declare
  v_count integer := cardinality(p_recipients);
  v_authorized boolean;
  v_home boolean;
  v_selective boolean;
  v_hosts integer;
  v_known client_message_ids%rowtype;
  v_box message_boxes%rowtype;
  v_outcomes text[] := '{}';
  v_deliveries text[] := '{}';
  v_shown text[] := '{}';
  v_forwardable boolean[] := '{}';
  v_remember boolean[] := '{}';
  v_refused boolean := false;
  v_holds integer := 0;
  v_planned text[];
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
    v_deliveries[i] := case when v_home then 'local' when v_hosts = 0 then 'parked' else 'forwarding' end;
  end loop;

  outcome := admit_request(p_digest, p_issued_at, p_forget_at);
  if outcome <> 'fresh' then
    recipient_index := 0;
    return next;
    return;
  end if;

  -- Receivers compare the authorization with the time at which this request was authenticated: now.
  v_authorized := not p_withheld and exists (
    select from sender_authorizations where sender = p_sender and given - 600000 <= p_now and expires >= p_now
  );

  -- Judge every recipient before anything is written: permissions, fees and quotas belong here too.
  for i in 1 .. v_count loop
    v_outcomes[i] := 'accepted';
    v_shown[i] := p_integers[i]::text;
    v_remember[i] := false;
    v_forwardable[i] := not p_withheld and (v_authorized or p_ciphertext_key is not null or p_proofs[i] is not null);

    if p_id_keys[i] is not null then
      select * into v_known from client_message_ids where id_key = p_id_keys[i] and forget_at > p_now;
      if not found then
        v_shown[i] := coalesce(p_client_ids[i], v_shown[i]);
        v_remember[i] := true;
      elsif v_known.payment_digest is not distinct from p_payment_digest then
        if v_known.body_digest = p_body_digest or v_known.sealed or p_ciphertext_key is not null then
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
    if v_deliveries[i] = 'forwarding' then
      if not v_forwardable[i] then
        v_outcomes[i] := 'unprovable';
        v_refused := true;
      end if;
      continue;
    end if;
    if exists (select from message_names where recipient = p_recipients[i] and name = p_names[i]) then
      v_outcomes[i] := 'repeat';
      continue;
    end if;
    -- Of two messages with one id the later is shown under its integer.
    if exists (select from messages m where m.recipient = p_recipients[i] and m.shown_id = v_shown[i]) then
      v_shown[i] := p_integers[i]::text;
    end if;
    select * into v_box from message_boxes b where b.recipient = p_recipients[i] and b.name = p_box;
    if v_box.message_count >= p_max_messages or v_box.byte_count + octet_length(p_body) > p_max_bytes then
      v_outcomes[i] := 'full';
      v_refused := true;
    end if;
  end loop;

  if v_refused then
    for i in 1 .. v_count loop
      if v_outcomes[i] in ('duplicate', 'unprovable', 'full') then
        recipient_index := i; outcome := v_outcomes[i];
        return next;
      end if;
    end loop;
    return;
  end if;

  for i in 1 .. v_count loop
    recipient_index := i; outcome := v_outcomes[i]; delivery := v_deliveries[i]; shown_id := v_shown[i];
    forwardable := v_forwardable[i]; domains := null;
    if outcome = 'repeat' then
      v_holds := v_holds + improve_proof(
        p_recipients[i], p_names[i], 'local', p_proofs[i], p_envelope_id, forwardable, p_body, p_wrapped,
        p_client_ids[i], p_now, p_expires_at[i], p_forget_after
      );
    else
      if delivery <> 'forwarding' then
        perform store_message(
          p_recipients[i], p_box, p_names[i], shown_id, p_sender, p_body, p_wrapped, p_envelope_id, 'local',
          p_proofs[i], forwardable, delivery = 'parked', p_id_keys[i], p_now, p_now, p_expires_at[i],
          p_forget_after, p_max_messages, p_max_bytes
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
            p_id_keys[i], lane_of(p_sender, p_recipients[i], p_box), true, p_now, p_now, p_now, p_expires_at[i]
          from chosen_hosts(p_recipients[i], p_self, p_expressions, p_matches) h
          where h.operator_key <> p_self
          on conflict (recipient, name, host_key) do nothing
          returning deliveries.domain
        )
        select array_agg(planned.domain), count(*) into v_planned, v_planned_count from planned;
        domains := v_planned;
        v_holds := v_holds + v_planned_count;
      end if;
      if delivery = 'parked' then
        insert into recipient_lookups (recipient, next_lookup_at, interval)
          values (p_recipients[i], p_now, 600000) on conflict do nothing;
      end if;
      if v_remember[i] then
        insert into client_message_ids as c
          (id_key, body_digest, sealed, payment_digest, shown_id, delivery, forget_at)
          values (p_id_keys[i], p_body_digest, p_ciphertext_key is not null, p_payment_digest, shown_id, delivery, p_expires_at[i])
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

  if v_holds > 0 then
    perform hold_envelope(
      p_envelope_id, p_sender, p_format, p_key_id, p_signed, p_signature, p_withheld, null, null, p_now, v_holds
    );
    if p_ciphertext_key is not null then
      insert into sent_ciphertexts (ciphertext_key, forget_at)
        values (p_ciphertext_key, (select max(e) from unnest(p_expires_at) e) + p_forget_after) on conflict do nothing;
    end if;
  end if;
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
-- 'full'; or one row 'unknown', 'replayed' or 'match'.
create function accept_propagated(
  p_digest uuid, p_issued_at bigint, p_forget_at bigint,
  p_now bigint, p_sender bytea, p_box text, p_body bytea, p_wrapped boolean,
  p_envelope_id bytea, p_format text, p_key_id text, p_signed bytea, p_signature bytea,
  p_key_linkage bytea, p_envelope_proof jsonb, p_received_at bigint, p_attesting_host bytea, p_given bigint,
  p_recipients bytea[], p_names bytea[], p_integers bigint[], p_client_ids text[], p_origins text[], p_proofs jsonb[],
  p_reflection_keys uuid[], p_first_seen bigint[], p_expires_at bigint[],
  p_expressions text[], p_matches boolean[],
  p_forget_after bigint, p_max_messages bigint, p_max_bytes bigint
) returns table (recipient_index integer, outcome text, expressions text[]) language plpgsql as $$
declare
  v_expression text;
  v_origin text;
  v_void boolean;
  v_shown text;
  v_box message_boxes%rowtype;
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
    elsif exists (select from message_names where recipient = p_recipients[i] and name = p_names[i]) then
      outcome := 'repeat';
      v_holds := v_holds + improve_proof(
        p_recipients[i], p_names[i], v_origin, p_proofs[i], p_envelope_id, true, p_body, p_wrapped, p_client_ids[i],
        p_first_seen[i], p_expires_at[i], p_forget_after
      );
      if v_origin = 'sealed' then
        -- Of several statements when it was first seen the latest counts.
        update messages m set first_seen = p_first_seen[i], expires_at = p_expires_at[i]
          from message_names n
          where n.recipient = p_recipients[i] and n.name = p_names[i] and m.box_id = n.box_id
            and m.position = n.position and m.origin = 'sealed' and m.first_seen < p_first_seen[i];
        update message_names set forget_at = p_expires_at[i] + p_forget_after
          where recipient = p_recipients[i] and name = p_names[i] and forget_at < p_expires_at[i] + p_forget_after;
      end if;
    else
      select * into v_box from message_boxes b where b.recipient = p_recipients[i] and b.name = p_box;
      if v_box.message_count >= p_max_messages or v_box.byte_count + octet_length(p_body) > p_max_bytes then
        outcome := 'full';
      else
        v_shown := p_integers[i]::text;
        if p_client_ids[i] is not null and not exists (
          select from messages m where m.recipient = p_recipients[i] and m.shown_id = p_client_ids[i]
        ) then
          v_shown := p_client_ids[i];
        end if;
        perform store_message(
          p_recipients[i], p_box, p_names[i], v_shown, p_sender, p_body, p_wrapped, p_envelope_id, v_origin,
          p_proofs[i], true, false, null, p_first_seen[i], p_now, p_expires_at[i],
          p_forget_after, p_max_messages, p_max_bytes
        );
        v_holds := v_holds + 1;
      end if;
    end if;
    return next;
  end loop;

  if v_holds > 0 then
    perform hold_envelope(
      p_envelope_id, p_sender, p_format, p_key_id, p_signed, p_signature, false, p_key_linkage, p_envelope_proof,
      p_received_at, v_holds
    );
  end if;
end $$;
