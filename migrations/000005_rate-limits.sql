-- What was taken of each rate, where the node has no Redis. Columns and their order are those rate-limiter-flexible
-- writes to. Counts of a minute are worth no write-ahead log: a crash of Postgres only begins all minutes anew.
create unlogged table rate_limits (
  -- resource, who is counted, and the end of the minute, ms
  key varchar(255) primary key,
  points integer not null default 0,
  -- ms
  expire bigint
) with (fillfactor = 70);
