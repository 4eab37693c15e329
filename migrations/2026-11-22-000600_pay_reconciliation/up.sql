-- Reconciliation: payments held against the records that were pushed, in reports that name what they found.

-- A payment is held against the records of its reference, and a record against the payments.
CREATE INDEX data_records_external_id_idx ON data_records (org_id, external_id);
CREATE INDEX transactions_reference_idx ON transactions (org_id, reference_id) WHERE reference_id IS NOT NULL;
CREATE INDEX transactions_receiver_reference_idx ON transactions (counterparty_org_id, reference_id)
    WHERE counterparty_org_id IS NOT NULL AND reference_id IS NOT NULL;

CREATE TABLE reconciliation_reports (
    org_id                  text NOT NULL REFERENCES organizations (id),
    id                      text NOT NULL,
    seq                     bigint GENERATED ALWAYS AS IDENTITY,
    cause                   text NOT NULL CHECK (cause IN ('trigger', 'daily')),
    period_start            timestamptz NOT NULL,
    period_end              timestamptz NOT NULL,
    status                  text NOT NULL CHECK (status IN ('processing', 'completed', 'failed')),
    total_transactions      bigint NOT NULL DEFAULT 0 CHECK (total_transactions >= 0),
    matched_count           bigint NOT NULL DEFAULT 0 CHECK (matched_count >= 0),
    unmatched_payment_count bigint NOT NULL DEFAULT 0 CHECK (unmatched_payment_count >= 0),
    unmatched_record_count  bigint NOT NULL DEFAULT 0 CHECK (unmatched_record_count >= 0),
    discrepancy_count       bigint NOT NULL DEFAULT 0 CHECK (discrepancy_count >= 0),
    anomaly_count           bigint NOT NULL DEFAULT 0 CHECK (anomaly_count >= 0),
    ledger_fault_count      bigint NOT NULL DEFAULT 0 CHECK (ledger_fault_count >= 0),
    volumes                 jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(volumes) = 'array'),
    failure                 text,
    created_at              timestamptz NOT NULL,
    ended_at                timestamptz,
    PRIMARY KEY (org_id, id),
    CHECK (period_start < period_end),
    CHECK (matched_count + unmatched_payment_count + discrepancy_count = total_transactions),
    CHECK ((status = 'processing') = (ended_at IS NULL)),
    CHECK ((status = 'failed') = (failure IS NOT NULL))
);
-- Whatever runs the daily job, and however often: one report a period.
CREATE UNIQUE INDEX reconciliation_reports_daily_key ON reconciliation_reports (org_id, period_end) WHERE cause = 'daily';
CREATE INDEX reconciliation_reports_created_at_idx ON reconciliation_reports (org_id, created_at DESC, seq DESC);
CREATE INDEX reconciliation_reports_processing_idx ON reconciliation_reports (org_id, created_at) WHERE status = 'processing';

COMMENT ON TABLE reconciliation_reports IS 'Payments of a period held against pushed records and the ledger; each is made by a job';
COMMENT ON COLUMN reconciliation_reports.org_id IS 'The organisation';
COMMENT ON COLUMN reconciliation_reports.id IS 'rec_…';
COMMENT ON COLUMN reconciliation_reports.seq IS 'Order of writing';
COMMENT ON COLUMN reconciliation_reports.cause IS 'trigger for a call, daily for the schedule';
COMMENT ON COLUMN reconciliation_reports.period_start IS 'Its first instant';
COMMENT ON COLUMN reconciliation_reports.period_end IS 'Its last millisecond, all of which belongs to it';
COMMENT ON COLUMN reconciliation_reports.status IS 'processing until its job ended it: completed, or failed after the last attempt';
COMMENT ON COLUMN reconciliation_reports.total_transactions IS 'Payments of the period that were settled or are held';
COMMENT ON COLUMN reconciliation_reports.matched_count IS 'Of them those whose record agrees';
COMMENT ON COLUMN reconciliation_reports.unmatched_payment_count IS 'Of them those without a record';
COMMENT ON COLUMN reconciliation_reports.unmatched_record_count IS 'Records with an amount, pushed in the period, without a payment';
COMMENT ON COLUMN reconciliation_reports.discrepancy_count IS 'Of the payments those whose record has another amount or currency';
COMMENT ON COLUMN reconciliation_reports.anomaly_count IS 'What is unusual, what is wrong with the ledger included';
COMMENT ON COLUMN reconciliation_reports.ledger_fault_count IS 'What is wrong with the ledger';
COMMENT ON COLUMN reconciliation_reports.volumes IS 'Array of {currency, count, amount_minor} of the payments, most payments first';
COMMENT ON COLUMN reconciliation_reports.failure IS 'Why it failed, as a sentence for the organisation';
COMMENT ON COLUMN reconciliation_reports.created_at IS 'When it was asked for';
COMMENT ON COLUMN reconciliation_reports.ended_at IS 'When it was completed, or given up';

CREATE TABLE reconciliation_items (
    org_id              text NOT NULL,
    report_id           text NOT NULL,
    kind                text NOT NULL CHECK (kind IN ('matched', 'unmatched', 'discrepancy')),
    place               integer NOT NULL CHECK (place >= 1),
    reason              text NOT NULL CHECK (reason IN ('agrees', 'no_amount', 'payment_without_record', 'record_without_payment',
                        'amount_differs', 'currency_differs')),
    transaction_id      text,
    record_id           text,
    reference_id        text,
    amount_minor        bigint,
    currency            text,
    record_amount_minor bigint,
    record_currency     text,
    occurred_at         timestamptz NOT NULL,
    PRIMARY KEY (org_id, report_id, kind, place),
    FOREIGN KEY (org_id, report_id) REFERENCES reconciliation_reports (org_id, id) ON DELETE CASCADE,
    CHECK (transaction_id IS NOT NULL OR record_id IS NOT NULL),
    CHECK ((kind = 'unmatched') = (transaction_id IS NULL OR record_id IS NULL)),
    CHECK ((transaction_id IS NULL) = (amount_minor IS NULL)),
    CHECK ((amount_minor IS NULL) = (currency IS NULL)),
    CHECK ((record_amount_minor IS NULL) = (record_currency IS NULL))
);

COMMENT ON TABLE reconciliation_items IS 'The payments and records of a report, as they were then; at most 10,000 of a kind';
COMMENT ON COLUMN reconciliation_items.org_id IS 'The organisation';
COMMENT ON COLUMN reconciliation_items.report_id IS 'The report';
COMMENT ON COLUMN reconciliation_items.kind IS 'matched, unmatched or discrepancy';
COMMENT ON COLUMN reconciliation_items.place IS 'Place among the items of its kind, from 1, oldest first';
COMMENT ON COLUMN reconciliation_items.reason IS 'Why it is of this kind';
COMMENT ON COLUMN reconciliation_items.transaction_id IS 'The payment; null for a record without one';
COMMENT ON COLUMN reconciliation_items.record_id IS 'The record; null for a payment without one';
COMMENT ON COLUMN reconciliation_items.reference_id IS 'The reference of the payment, or the external id of the record';
COMMENT ON COLUMN reconciliation_items.amount_minor IS 'The payment''s amount in minor units';
COMMENT ON COLUMN reconciliation_items.currency IS 'The payment''s currency';
COMMENT ON COLUMN reconciliation_items.record_amount_minor IS 'What the record is worth in minor units; null when it does not say';
COMMENT ON COLUMN reconciliation_items.record_currency IS 'The currency of that';
COMMENT ON COLUMN reconciliation_items.occurred_at IS 'When the payment was requested, or the record first pushed';

CREATE TABLE reconciliation_anomalies (
    org_id       text NOT NULL,
    report_id    text NOT NULL,
    place        integer NOT NULL CHECK (place >= 1),
    type         text NOT NULL CHECK (type IN ('ledger', 'dispute_rate', 'concentration', 'velocity', 'cross_organization',
                 'new_category')),
    severity     text NOT NULL CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    subject      text NOT NULL,
    currency     text,
    count        bigint NOT NULL CHECK (count >= 0),
    amount_minor bigint,
    measure      bigint,
    detail       text NOT NULL,
    PRIMARY KEY (org_id, report_id, place),
    FOREIGN KEY (org_id, report_id) REFERENCES reconciliation_reports (org_id, id) ON DELETE CASCADE
);

COMMENT ON TABLE reconciliation_anomalies IS 'What is unusual about the payments of a report; at most 1,000 of a type';
COMMENT ON COLUMN reconciliation_anomalies.org_id IS 'The organisation';
COMMENT ON COLUMN reconciliation_anomalies.report_id IS 'The report';
COMMENT ON COLUMN reconciliation_anomalies.place IS 'Place among the anomalies of the report, from 1';
COMMENT ON COLUMN reconciliation_anomalies.type IS 'Which rule found it';
COMMENT ON COLUMN reconciliation_anomalies.severity IS 'low, medium, high or critical';
COMMENT ON COLUMN reconciliation_anomalies.subject IS 'What it is about: an agent, organisation, category, instant, wallet, journal, …';
COMMENT ON COLUMN reconciliation_anomalies.currency IS 'The currency it is about; null for all';
COMMENT ON COLUMN reconciliation_anomalies.count IS 'How many payments it is about';
COMMENT ON COLUMN reconciliation_anomalies.amount_minor IS 'What they amount to in minor units; null across currencies';
COMMENT ON COLUMN reconciliation_anomalies.measure IS 'In ten-thousandths: a share, or how many standard deviations';
COMMENT ON COLUMN reconciliation_anomalies.detail IS 'For people';
