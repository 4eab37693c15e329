//! The table of `migrations/*_integrations_base`, as diesel sees it.
#![expect(
    missing_docs,
    reason = "the columns are described by comments in the migration"
)]

diesel::table! {
    integrations (org_id, id) {
        org_id -> Text,
        id -> Text,
        service -> Text,
        name -> Text,
        enabled -> Bool,
        settings -> Jsonb,
        secrets -> Nullable<Bytea>,
        synchronizations -> Jsonb,
        api_key_prefix -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        last_sync_at -> Nullable<Timestamptz>,
    }
}
