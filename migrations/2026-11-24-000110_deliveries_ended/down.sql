DROP INDEX deliveries_ended_idx;
CREATE INDEX deliveries_created_at_idx ON deliveries USING brin (created_at);
