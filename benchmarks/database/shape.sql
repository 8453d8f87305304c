-- 2.6 million rows in about 1.5 GB: one table of prices dominates, as in the documents' system. Indexes, functions
-- and triggers included. Made by psql -v rows=2500000; the other tables follow from it.
\set ON_ERROR_STOP 1
set synchronous_commit = off;
set role rec_io_db_owner;
create schema live_data;
create schema ledger;
set search_path = ledger;
create table live_data.price_log (
    id bigint not null, symbol text not null, at timestamptz not null, price numeric(18, 8) not null,
    volume bigint not null, venue text, raw jsonb not null);
create table trades (
    id bigint generated always as identity primary key, ticket text not null unique, symbol text not null,
    opened_at timestamptz not null, closed_at timestamptz, price numeric(18, 8) not null, note text);
create table positions (symbol text primary key, quantity numeric not null default 0, updated_at timestamptz);
create table strikes (symbol text, strike numeric, probability double precision, primary key (symbol, strike));
create table events (id bigint generated always as identity primary key, kind text not null, detail jsonb);
insert into live_data.price_log
select i, 'SYM' || i % 40, timestamptz '2026-01-01' + i * interval '5 seconds',
    (30000 + 900 * sin(i / 900.0) + random() * 20)::numeric(18, 8), (random() * 100000)::bigint,
    (array['north', 'south', 'east', null])[1 + i % 4],
    jsonb_build_object('bid', round((30000 + random() * 900)::numeric, 6), 'ask', round((30000 + random() * 900)::numeric, 6),
        'sequence', i, 'trace', md5(i::text) || md5((i * 7)::text), 'client', repeat(md5((i % 5000)::text), 2),
        'route', md5((i * 11)::text) || md5((i * 13)::text) || md5((i * 17)::text), 'levels', jsonb_build_array(
            round((random() * 1000)::numeric, 4), round((random() * 1000)::numeric, 4), round((random() * 1000)::numeric, 4),
            round((random() * 1000)::numeric, 4), round((random() * 1000)::numeric, 4), round((random() * 1000)::numeric, 4)))
from generate_series(1, :rows) i;
insert into trades (ticket, symbol, opened_at, closed_at, price, note)
select md5(i::text), 'SYM' || i % 40, timestamptz '2026-01-01' + i * interval '4 minutes',
    case when i % 9 > 0 then timestamptz '2026-01-01' + i * interval '5 minutes' end, 100 + random() * 900,
    repeat(md5(i::text), 2)
from generate_series(1, :rows / 50) i;
insert into strikes select 'SYM' || i % 40, i, random() from generate_series(1, :rows / 100) i;
insert into events (kind, detail) select 'kind' || i % 7, jsonb_build_object('n', i, 'text', md5(i::text))
from generate_series(1, :rows / 100) i;
insert into positions select 'SYM' || i, random() * 10, now() from generate_series(0, 39) i;
alter table live_data.price_log add primary key (id);
create index on live_data.price_log (symbol, at);
create index on trades (symbol, opened_at);
create index on trades (closed_at) where closed_at is null;
create index on events (kind);
create function touch() returns trigger language plpgsql as $$ begin new.updated_at := now(); return new; end $$;
create function book() returns trigger language plpgsql as $$
begin
    insert into ledger.positions (symbol, quantity) values (new.symbol, 1)
    on conflict (symbol) do update set quantity = positions.quantity + 1;
    return new;
end $$;
create trigger touch before update on positions for each row execute function touch();
create trigger book after insert on trades for each row execute function book();
create view open_trades as select * from trades where closed_at is null;
reset role;
analyze;
checkpoint;
