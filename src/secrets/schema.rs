//! The table of `migrations/*_secrets_rates`, as diesel sees it.
#![expect(
    missing_docs,
    reason = "the columns are described by comments in the migration"
)]

diesel::table! {
    data_keys (org_id, version) {
        org_id -> Text,
        version -> Int4,
        wrapped -> Bytea,
        created_at -> Timestamptz,
        rewrapped_at -> Nullable<Timestamptz>,
    }
}
