DROP TABLE hub_events;
DROP TABLE connections;
