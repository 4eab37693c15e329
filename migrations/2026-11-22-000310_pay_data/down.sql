DROP TABLE data_records;
