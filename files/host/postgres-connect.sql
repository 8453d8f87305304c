-- Go on in another database; end here, quietly, where it does not exist or lets nobody in.
select count(*) = 1 as present,
    'dbname=''' || replace(replace(:'database', '\', '\\'), '''', '\''') || '''' as conninfo
from pg_database where datname = :'database' and datallowconn \gset
\if :present
\else
\quit
\endif
\connect -reuse-previous=on :"conninfo"
