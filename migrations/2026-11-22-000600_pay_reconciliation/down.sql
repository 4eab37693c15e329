DROP TABLE reconciliation_anomalies;
DROP TABLE reconciliation_items;
DROP TABLE reconciliation_reports;
DROP INDEX transactions_receiver_reference_idx;
DROP INDEX transactions_reference_idx;
DROP INDEX data_records_external_id_idx;
