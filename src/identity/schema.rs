//! The tables of `migrations/*_identity_base`, as diesel sees them.
#![expect(
    missing_docs,
    reason = "the columns are described by comments in the migration"
)]

diesel::table! {
    organizations (id) {
        id -> Text,
        name -> Text,
        slug -> Text,
        #[sql_name = "type"]
        kind -> Text,
        parent_id -> Nullable<Text>,
        description -> Nullable<Text>,
        avatar_url -> Nullable<Text>,
        plan -> Text,
        seat_limit -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    users (id) {
        id -> Uuid,
        email -> Text,
        name -> Text,
        avatar_url -> Nullable<Text>,
        password_hash -> Text,
        role -> Text,
        default_org_id -> Nullable<Text>,
        has_onboarded -> Bool,
        onboarded_at -> Nullable<Timestamptz>,
        demo_project_id -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    memberships (org_id, user_id) {
        org_id -> Text,
        user_id -> Uuid,
        role -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    invitations (id) {
        id -> Text,
        org_id -> Text,
        email -> Text,
        role -> Text,
        token_sha256 -> Bytea,
        status -> Text,
        expires_at -> Timestamptz,
        invited_by -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Text,
        org_id -> Text,
        user_id -> Nullable<Uuid>,
        kind -> Text,
        name -> Text,
        sha256 -> Bytea,
        prefix -> Text,
        permissions -> Array<Text>,
        ip_whitelist -> Array<Text>,
        allowed_agents -> Array<Text>,
        created_at -> Timestamptz,
        last_used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    refresh_tokens (id) {
        id -> Uuid,
        user_id -> Uuid,
        family -> Uuid,
        sha256 -> Bytea,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::joinable!(memberships -> users (user_id));
diesel::joinable!(memberships -> organizations (org_id));
diesel::allow_tables_to_appear_in_same_query!(
    organizations,
    users,
    memberships,
    invitations,
    api_keys,
    refresh_tokens
);
