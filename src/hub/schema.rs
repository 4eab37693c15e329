//! The tables of `migrations/*_hub_ingest`, as diesel sees them.
#![expect(
    missing_docs,
    reason = "the columns are described by comments in the migration"
)]

diesel::table! {
    connections (org_id, id) {
        org_id -> Text,
        id -> Text,
        connector_type -> Text,
        name -> Text,
        direction -> Text,
        state -> Text,
        config -> Jsonb,
        secret -> Nullable<Bytea>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    hub_events (org_id, id) {
        org_id -> Text,
        id -> Text,
        dedup_key -> Text,
        connection_id -> Nullable<Text>,
        #[sql_name = "type"]
        event_type -> Text,
        external_id -> Text,
        occurred_at -> Timestamptz,
        payload -> Json,
        received_at -> Timestamptz,
    }
}
