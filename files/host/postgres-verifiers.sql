-- What the server keeps of some roles' passwords: for a program on the host that compares, and for nobody else.
select json_object_agg(rolname, rolpassword) from pg_authid
where rolname in (select jsonb_array_elements_text(:'roles'::jsonb));
