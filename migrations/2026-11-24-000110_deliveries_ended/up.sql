-- Swept rows make room for new ones anywhere, so block ranges soon all have an old minimum, and finding nothing to sweep
-- read the whole table.
DROP INDEX deliveries_created_at_idx;
CREATE INDEX deliveries_ended_idx ON deliveries (created_at) WHERE status <> 'pending';
