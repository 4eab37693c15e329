-- The key first: an index that begins with the endpoint looks good for finding one delivery of it, and reads all that wait.
DROP INDEX deliveries_order_idx;
CREATE INDEX deliveries_order_idx ON deliveries (ordering_key, org_id, endpoint_id, seq) WHERE status = 'pending';
