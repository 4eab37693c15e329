CREATE TABLE compliance_predictions (
    org_id             text NOT NULL,
    id                 text NOT NULL,
    seq                bigint GENERATED ALWAYS AS IDENTITY,
    transaction_id     text NOT NULL,
    agent_id           text NOT NULL CHECK (agent_id <> ''),
    jurisdictions      text[] NOT NULL CHECK (cardinality(jurisdictions) > 0),
    rules_version      text NOT NULL,
    verdict            text NOT NULL CHECK (verdict IN ('clear', 'flagged', 'blocked')),
    needs_human        boolean NOT NULL,
    confidence_percent smallint NOT NULL CHECK (confidence_percent BETWEEN 0 AND 100),
    findings           jsonb NOT NULL CHECK (jsonb_typeof(findings) = 'array'),
    processing_time_us bigint NOT NULL CHECK (processing_time_us >= 0),
    created_at         timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, transaction_id) REFERENCES transactions (org_id, id),
    CHECK ((verdict = 'clear') = (findings = '[]')),
    CHECK (NOT needs_human OR verdict = 'flagged')
);
CREATE INDEX compliance_predictions_created_at_idx ON compliance_predictions (org_id, created_at DESC, seq DESC);
CREATE INDEX compliance_predictions_transaction_idx ON compliance_predictions (org_id, transaction_id);

COMMENT ON TABLE compliance_predictions IS 'What the compliance rules said of each payment whose policy asks for it; kept as long as the payment';
COMMENT ON COLUMN compliance_predictions.org_id IS 'The paying organisation';
COMMENT ON COLUMN compliance_predictions.id IS 'cmp_…, sorts by the time it was made';
COMMENT ON COLUMN compliance_predictions.seq IS 'Order of writing';
COMMENT ON COLUMN compliance_predictions.transaction_id IS 'The payment; it has another prediction when it is decided again';
COMMENT ON COLUMN compliance_predictions.agent_id IS 'The paying agent';
COMMENT ON COLUMN compliance_predictions.jurisdictions IS 'The jurisdictions of the policy';
COMMENT ON COLUMN compliance_predictions.rules_version IS 'The version of the rules';
COMMENT ON COLUMN compliance_predictions.verdict IS 'clear, flagged (passes, or waits for a human) or blocked';
COMMENT ON COLUMN compliance_predictions.needs_human IS 'Whether the confidence was below 80 %';
COMMENT ON COLUMN compliance_predictions.confidence_percent IS 'Of the surest block, or else of the least sure finding; 100 without findings';
COMMENT ON COLUMN compliance_predictions.findings IS 'rule, jurisdiction, effect, confidence_percent and detail of each finding';
COMMENT ON COLUMN compliance_predictions.processing_time_us IS 'Measured time of the check in microseconds, counting earlier payments included';
COMMENT ON COLUMN compliance_predictions.created_at IS 'When it was made';
