//! The tables of payments, as diesel sees them.

diesel::table! {
    wallets (org_id, id) {
        org_id -> Text,
        id -> Text,
        agent_id -> Text,
        currency -> Text,
        available_minor -> Int8,
        held_minor -> Int8,
        lifetime_sent_minor -> Int8,
        lifetime_received_minor -> Int8,
        is_active -> Bool,
        last_transaction_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    policies (org_id, id) {
        org_id -> Text,
        id -> Text,
        seq -> Int8,
        policy_name -> Text,
        agent_id -> Nullable<Text>,
        max_per_transaction_minor -> Nullable<Int8>,
        max_daily_minor -> Nullable<Int8>,
        max_monthly_minor -> Nullable<Int8>,
        currency -> Text,
        require_human_above_minor -> Nullable<Int8>,
        approved_counterparties -> Array<Text>,
        blocked_counterparties -> Array<Text>,
        allowed_categories -> Array<Text>,
        compliance_precheck -> Bool,
        compliance_jurisdictions -> Array<Text>,
        is_active -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        version_id -> Int8,
    }
}

diesel::table! {
    transactions (org_id, id) {
        org_id -> Text,
        id -> Text,
        seq -> Int8,
        requesting_agent_id -> Text,
        counterparty_agent_id -> Nullable<Text>,
        counterparty_org_id -> Nullable<Text>,
        amount_minor -> Int8,
        currency -> Text,
        tx_type -> Text,
        category -> Nullable<Text>,
        description -> Nullable<Text>,
        reference_id -> Nullable<Text>,
        metadata -> Json,
        status -> Text,
        policy_version_id -> Nullable<Int8>,
        escrow_terms -> Nullable<Jsonb>,
        settled_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        authorization_id -> Text,
        decision -> Text,
        reason_code -> Text,
        reason_detail -> Nullable<Text>,
        compliance_status -> Nullable<Text>,
        processing_time_ms -> Int8,
        decided_at -> Timestamptz,
    }
}

diesel::table! {
    escrows (org_id, id) {
        org_id -> Text,
        id -> Text,
        transaction_id -> Text,
        amount_minor -> Int8,
        currency -> Text,
        status -> Text,
        release_conditions -> Jsonb,
        held_at -> Timestamptz,
        expires_at -> Timestamptz,
        disputed_at -> Nullable<Timestamptz>,
        dispute_reason -> Nullable<Text>,
        released_at -> Nullable<Timestamptz>,
        refunded_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    data_records (org_id, id) {
        org_id -> Text,
        id -> Text,
        seq -> Int8,
        source -> Text,
        data_type -> Text,
        external_id -> Text,
        category -> Nullable<Text>,
        data -> Json,
        amount_minor -> Nullable<Int8>,
        currency -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    compliance_predictions (org_id, id) {
        org_id -> Text,
        id -> Text,
        seq -> Int8,
        transaction_id -> Text,
        agent_id -> Text,
        jurisdictions -> Array<Text>,
        rules_version -> Text,
        verdict -> Text,
        needs_human -> Bool,
        confidence_percent -> Int2,
        findings -> Jsonb,
        processing_time_us -> Int8,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    pay_agents (org_id, id) {
        org_id -> Text,
        id -> Text,
        name -> Text,
        url -> Text,
        description -> Nullable<Text>,
        timeout_seconds -> Int4,
        max_attempts -> Int4,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    pay_agent_secrets (org_id, id) {
        org_id -> Text,
        id -> Text,
        secret -> Bytea,
        previous_secret -> Nullable<Bytea>,
        previous_valid_until -> Nullable<Timestamptz>,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    pay_agent_runs (org_id, id) {
        org_id -> Text,
        id -> Text,
        seq -> Int8,
        agent -> Text,
        agent_id -> Nullable<Text>,
        priority -> Text,
        input -> Json,
        payment_agents -> Nullable<Array<Text>>,
        callback_url -> Nullable<Text>,
        status -> Text,
        output -> Nullable<Json>,
        error -> Nullable<Text>,
        created_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        completed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    reconciliation_reports (org_id, id) {
        org_id -> Text,
        id -> Text,
        seq -> Int8,
        cause -> Text,
        period_start -> Timestamptz,
        period_end -> Timestamptz,
        status -> Text,
        total_transactions -> Int8,
        matched_count -> Int8,
        unmatched_payment_count -> Int8,
        unmatched_record_count -> Int8,
        discrepancy_count -> Int8,
        anomaly_count -> Int8,
        ledger_fault_count -> Int8,
        volumes -> Jsonb,
        failure -> Nullable<Text>,
        created_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    reconciliation_items (org_id, report_id, kind, place) {
        org_id -> Text,
        report_id -> Text,
        kind -> Text,
        place -> Int4,
        reason -> Text,
        transaction_id -> Nullable<Text>,
        record_id -> Nullable<Text>,
        reference_id -> Nullable<Text>,
        amount_minor -> Nullable<Int8>,
        currency -> Nullable<Text>,
        record_amount_minor -> Nullable<Int8>,
        record_currency -> Nullable<Text>,
        occurred_at -> Timestamptz,
    }
}

diesel::table! {
    reconciliation_anomalies (org_id, report_id, place) {
        org_id -> Text,
        report_id -> Text,
        place -> Int4,
        #[sql_name = "type"]
        kind -> Text,
        severity -> Text,
        subject -> Text,
        currency -> Nullable<Text>,
        count -> Int8,
        amount_minor -> Nullable<Int8>,
        measure -> Nullable<Int8>,
        detail -> Text,
    }
}
