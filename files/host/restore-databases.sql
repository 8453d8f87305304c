-- Databases that restores and wipes have left: replaced ones, and fresh ones that never took their place.
select coalesce(json_agg(json_build_object('database', datname, 'bytes', pg_database_size(oid)) order by datname), '[]')
from pg_database where datname ~ '_(replaced|restore)_[0-9]{8}t[0-9]{6}z$';
