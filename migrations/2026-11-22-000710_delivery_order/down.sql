DROP INDEX deliveries_order_idx;
CREATE INDEX deliveries_order_idx ON deliveries (org_id, endpoint_id, ordering_key, seq) WHERE status = 'pending';
