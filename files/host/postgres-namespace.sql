-- Who owns one schema of this database; null where it does not exist.
select jsonb_build_object('owner', (
    select pg_get_userbyid(nspowner) from pg_namespace where nspname = :'schema'));
