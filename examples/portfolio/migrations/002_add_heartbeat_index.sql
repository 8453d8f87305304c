-- hostwright: no transaction
-- Found by age; built while the instances go on beating. What an interrupted build left invalid goes first.
DROP INDEX CONCURRENTLY IF EXISTS instance_heartbeat_last_seen;
CREATE INDEX CONCURRENTLY IF NOT EXISTS instance_heartbeat_last_seen ON instance_heartbeat (last_seen);
