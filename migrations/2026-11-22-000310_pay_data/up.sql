CREATE TABLE data_records (
    org_id       text NOT NULL REFERENCES organizations (id),
    id           text NOT NULL,
    seq          bigint GENERATED ALWAYS AS IDENTITY,
    source       text NOT NULL CHECK (source <> ''),
    data_type    text NOT NULL CHECK (data_type <> ''),
    external_id  text NOT NULL CHECK (external_id <> ''),
    category     text CHECK (category <> ''),
    data         json NOT NULL CHECK (json_typeof(data) = 'object'),
    amount_minor bigint,
    currency     text CHECK (currency ~ '^[A-Z]{3}$'),
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    CONSTRAINT data_records_external_key UNIQUE (org_id, source, data_type, external_id),
    CHECK ((amount_minor IS NULL) = (currency IS NULL))
);
CREATE INDEX data_records_created_at_idx ON data_records (org_id, created_at DESC, seq DESC);
CREATE INDEX data_records_type_idx ON data_records (org_id, data_type, created_at DESC, seq DESC);
CREATE INDEX data_records_category_idx ON data_records (org_id, category, created_at DESC, seq DESC);
CREATE INDEX data_records_source_idx ON data_records (org_id, source, created_at DESC, seq DESC);
-- The summary reads only this index.
CREATE INDEX data_records_summary_idx ON data_records (org_id, data_type, category, updated_at);
CREATE INDEX data_records_amount_idx ON data_records (org_id, currency, created_at DESC, seq DESC)
    INCLUDE (amount_minor) WHERE amount_minor IS NOT NULL;

COMMENT ON TABLE data_records IS 'What the organisation''s other systems push: invoices, orders, whatever payments are held against';
COMMENT ON COLUMN data_records.org_id IS 'The organisation';
COMMENT ON COLUMN data_records.id IS 'dat_…, sorts by the time it was made; kept when the record is pushed again';
COMMENT ON COLUMN data_records.seq IS 'Order of writing';
COMMENT ON COLUMN data_records.source IS 'The system it comes from';
COMMENT ON COLUMN data_records.data_type IS 'What it is, for example invoices';
COMMENT ON COLUMN data_records.external_id IS 'The id in the source system';
COMMENT ON COLUMN data_records.category IS 'What kind of its type it is';
COMMENT ON COLUMN data_records.data IS 'As pushed last: json, not jsonb, which changes key order and refuses some valid text';
COMMENT ON COLUMN data_records.amount_minor IS 'The member amount of data in minor units, when it is an amount; may be negative';
COMMENT ON COLUMN data_records.currency IS 'The currency of the amount: the member currency of data, USD when absent';
COMMENT ON COLUMN data_records.created_at IS 'When it was first pushed';
COMMENT ON COLUMN data_records.updated_at IS 'When it was last pushed';
