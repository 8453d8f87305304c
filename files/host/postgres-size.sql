-- What a database takes on disk, in bytes; no row where there is none of that name.
select pg_database_size(oid) from pg_database where datname = :'database';
