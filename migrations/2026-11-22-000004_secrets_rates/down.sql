DROP TABLE rate_days;
DROP TABLE rate_hits;
DROP TABLE data_keys;
