//! The audit of the ledger: a book that is true passes, and everything that was tampered with is named.

use pulpo::pay::audit::{self, Audit};
use serde_json::{Value, json};

use super::{Desk, PAYEE, PAYER};
use crate::operation::program::command;

/// A desk after payments of every kind, and an organisation it pays to.
pub(super) async fn book() -> (Desk, String) {
    let desk = Desk::open().await;
    let other = desk.app.organization("Other").await;
    let pay = async |over: Value, status: &str| {
        let reply = desk.pay(over).await.expect_status(200);
        assert_eq!(reply.str("/status"), status, "{}", reply.text);
        reply.str("/transaction_id").to_owned()
    };
    pay(json!({"amount": 10}), "authorized").await;
    pay(
        json!({"amount": 20, "counterparty_agent_id": null}),
        "authorized",
    )
    .await;
    let across = json!({"counterparty_agent_id": "agent-x", "counterparty_org_id": other});
    pay(
        super::with(across.clone(), json!({"amount": 30})),
        "authorized",
    )
    .await;
    pay(json!({"amount": 20000}), "denied").await;
    pay(json!({"amount": 9500}), "pending_human_review").await;
    let escrow = json!({"escrow_conditions": {}});
    let held = super::with(escrow.clone(), json!({"amount": 40}));
    pay(held.clone(), "escrow_held").await;
    for (verb, body) in [
        ("release", held.clone()),
        ("refund", held.clone()),
        ("dispute", held),
    ] {
        let id = pay(body, "escrow_held").await;
        let reply = desk
            .api()
            .post(&format!("/payments/{id}/{verb}"), &json!({}))
            .await;
        reply.expect_status(200);
    }
    let outside = json!({"amount": 50, "counterparty_agent_id": null, "escrow_conditions": {}});
    let id = pay(outside, "escrow_held").await;
    desk.api()
        .post(&format!("/payments/{id}/release"), &json!({}))
        .await
        .expect_status(200);
    pay(
        super::with(across, json!({"amount": 60, "escrow_conditions": {}})),
        "escrow_held",
    )
    .await;
    for verb in ["fund", "withdraw"] {
        let path = format!("/wallets/{PAYER}/{verb}");
        desk.api()
            .post(&path, &json!({"amount": 5}))
            .await
            .expect_status(200);
    }
    (desk, other)
}

/// The checks that found something, with how much.
fn found(audit: &Audit) -> Vec<(&'static str, i64)> {
    let checks = audit.checks.iter().filter(|checked| checked.total > 0);
    checks
        .map(|checked| (checked.name, checked.total))
        .collect()
}

/// Runs `pulpo admin verify-ledger`: whether it ended well, what it printed, and what it said it failed of.
fn verify(desk: &Desk, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = command(&["admin", "verify-ledger"])
        .args(arguments)
        .env("PULPO_DATABASE_URL", desk.app.database_url())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_that_is_true_passes() {
    let (desk, other) = book().await;
    let db = &desk.app.app.db;
    for (org_id, checks) in [
        (None, 13),
        (Some(desk.org_id.as_str()), 12),
        (Some(other.as_str()), 12),
    ] {
        let audit = audit::verify(db, org_id).await.unwrap();
        assert_eq!(
            (found(&audit), audit.checks.len()),
            (vec![], checks),
            "{org_id:?}"
        );
    }
    let (code, out, _) = verify(&desk, &[]);
    assert_eq!(code, Some(0));
    assert!(out.ends_with("The ledger holds.\n"), "{out}");
    let (code, out, _) = verify(&desk, &["--org", &desk.org_id, "--json"]);
    let printed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &printed["holds"], &printed["fault_count"]),
        (Some(0), &json!(true), &json!(0))
    );
    let (code, out, error) = verify(&desk, &["--org", "org_unknown"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(
        error.contains("There is no organization org_unknown"),
        "{error}"
    );
    desk.app.stop().await;
}

/// What is done to the book, how it is undone, and which checks find how much.
type Tampering = (String, String, Found);

/// Checks, and how much they find.
type Found = &'static [(&'static str, i64)];

fn tamperings() -> Vec<Tampering> {
    let wallet = |columns: &str, back: &str, found: Found| {
        let update = |set: &str| format!("UPDATE wallets SET {set} WHERE agent_id = '{PAYER}'");
        (update(columns), update(back), found)
    };
    // The settled payment of 10, and the funding of 5.
    const PAID: &str = "transaction_id = (SELECT id FROM transactions WHERE amount_minor = 1000)";
    const FUNDED: &str = "kind = 'fund'";
    let journal = |set: &str, back: &str, of: &str, found: Found| {
        let update = |set: &str| format!("UPDATE ledger_journals SET {set} WHERE {of}");
        (update(set), update(back), found)
    };
    let held = "id = (SELECT min(id) FROM escrows WHERE status = 'held')";
    vec![
        wallet(
            "available_minor = available_minor + 1",
            "available_minor = available_minor - 1",
            &[("wallet_balances", 1), ("organization_totals", 1), ("currency_totals", 1)],
        ),
        wallet(
            "available_minor = available_minor - 1, held_minor = held_minor + 1",
            "available_minor = available_minor + 1, held_minor = held_minor - 1",
            &[("wallet_balances", 1), ("held_escrows", 1)],
        ),
        wallet(
            "lifetime_sent_minor = lifetime_sent_minor + 1",
            "lifetime_sent_minor = lifetime_sent_minor - 1",
            &[("lifetime_totals", 1)],
        ),
        journal(
            "amount_minor = amount_minor + 1",
            "amount_minor = amount_minor - 1",
            PAID,
            &[("running_balances", 2), ("wallet_balances", 2), ("payment_movements", 1)],
        ),
        journal(
            "amount_minor = amount_minor * 2",
            "amount_minor = amount_minor / 2",
            FUNDED,
            &[("running_balances", 1), ("wallet_balances", 1), ("organization_totals", 1), ("currency_totals", 1)],
        ),
        // The balance after it does not fit, and neither does the step to the next.
        journal(
            "from_balance_minor = from_balance_minor + 1",
            "from_balance_minor = from_balance_minor - 1",
            PAID,
            &[("running_balances", 2)],
        ),
        journal(
            "currency = 'EUR'",
            "currency = 'USD'",
            PAID,
            &[("accounts", 2), ("payment_movements", 1)],
        ),
        journal(
            "to_account = 'held'",
            "to_account = 'wallet'",
            PAID,
            &[("running_balances", 2), ("wallet_balances", 1), ("payment_movements", 1)],
        ),
        journal("id = 'jrn_other' || id", "id = substr(id, 10)", FUNDED, &[]),
        journal("created_at = created_at + interval '1 hour'", "created_at = created_at - interval '1 hour'", FUNDED, &[]),
        journal(
            "kind = 'escrow_refund'",
            "kind = 'payment'",
            PAID,
            &[("payment_journals", 1), ("payment_movements", 1)],
        ),
        (
            "UPDATE transactions SET status = 'denied', settled_at = NULL WHERE amount_minor = 1000".to_owned(),
            "UPDATE transactions SET status = 'settled', settled_at = created_at WHERE amount_minor = 1000".to_owned(),
            &[("payment_journals", 1), ("lifetime_totals", 2), ("running_totals", 1)],
        ),
        // What was paid is more than what moved.
        (
            "UPDATE transactions SET amount_minor = 3001 WHERE amount_minor = 3000".to_owned(),
            "UPDATE transactions SET amount_minor = 3000 WHERE amount_minor = 3001".to_owned(),
            &[("payment_movements", 1), ("lifetime_totals", 2), ("running_totals", 1), ("organization_totals", 2)],
        ),
        (
            format!("UPDATE escrows SET status = 'released', released_at = held_at WHERE {held}"),
            "UPDATE escrows e SET status = 'held', released_at = NULL FROM transactions t \
             WHERE t.id = e.transaction_id AND t.status = 'escrow_held'"
                .to_owned(),
            &[("escrow_states", 1), ("held_escrows", 1)],
        ),
        (
            "UPDATE transactions SET policy_version_id = -policy_version_id WHERE amount_minor = 3000".to_owned(),
            "UPDATE transactions SET policy_version_id = -policy_version_id WHERE policy_version_id < 0".to_owned(),
            &[("policy_versions", 1)],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_tampered_with_is_named() {
    let (desk, _) = book().await;
    let db = &desk.app.app.db;
    desk.app
        .sql("ALTER TABLE ledger_journals DISABLE TRIGGER ALL")
        .await;
    for (done, undone, expected) in tamperings() {
        desk.app.sql(&done).await;
        let audit = audit::verify(db, None).await.unwrap();
        // Whatever was done to a journal or its entries breaks the chain there.
        let is_chained = done.starts_with("UPDATE ledger_");
        let broken = is_chained.then_some(("chain", 1));
        let expected: Vec<_> = expected.iter().copied().chain(broken).collect();
        assert_eq!(found(&audit), expected, "{done}: {audit:#?}");
        desk.app.sql(&undone).await;
        let audit = audit::verify(db, None).await.unwrap();
        assert_eq!(found(&audit), vec![], "{undone}: {audit:#?}");
    }

    // The last journal is cut off, with everything that knows of it but the head.
    let last = "(SELECT j.id FROM ledger_journals j ORDER BY j.org_id = (SELECT org_id FROM wallets WHERE agent_id = 'agent-x'), \
         j.chain_seq DESC LIMIT 1)";
    let cut = format!("DELETE FROM ledger_journals WHERE id = {last}");
    desk.app.sql(&cut).await;
    let audit = audit::verify(db, None).await.unwrap();
    assert_eq!(found(&audit).last(), Some(&("chain", 1)), "{audit:#?}");

    // A wallet that is gone leaves entries and escrows behind. The command names it, and fails.
    let gone = format!("DELETE FROM wallets WHERE agent_id = '{PAYEE}' RETURNING id");
    let id: String = desk.app.sql(&gone).await[0].get(0);
    let (code, out, error) = verify(&desk, &[]);
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("accounts: 3 FAULTS") && out.contains(&format!("{} {id}: ", desk.org_id)),
        "{out}"
    );
    assert!(error.contains("the ledger does not hold"), "{error}");
    let (code, out, _) = verify(&desk, &["--json", "--org", &desk.org_id]);
    let printed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &printed["holds"]), (Some(1), &json!(false)));
    assert_eq!(printed["checks"][0]["faults"][0]["subject"], json!(id));
    desk.app.stop().await;
}

/// What another organisation pays is in the payer's chain alone. Whoever changes such a credit and everything that knows of
/// its amount deceives the sums of both, and not that chain.
#[tokio::test(flavor = "multi_thread")]
async fn a_credit_across_organisations_is_in_the_chain_of_its_payer() {
    let (desk, other) = book().await;
    let db = &desk.app.app.db;
    // The payment of 30 becomes one of 25: the journal and the balances it leads to, the payment, the payer's later journals
    // and totals, both wallets.
    let tampering = format!(
        "ALTER TABLE ledger_journals DISABLE TRIGGER ALL; \
         UPDATE ledger_journals SET amount_minor = 2500, to_balance_minor = 2500 WHERE amount_minor = 3000; \
         UPDATE ledger_journals SET from_balance_minor = from_balance_minor + 500 WHERE from_account = 'wallet' \
           AND from_wallet_id = (SELECT id FROM wallets WHERE agent_id = '{PAYER}') \
           AND chain_seq >= (SELECT chain_seq FROM ledger_journals WHERE amount_minor = 2500 AND org_id = '{org}'); \
         UPDATE ledger_journals SET to_balance_minor = to_balance_minor + 500 WHERE to_account = 'wallet' \
           AND to_wallet_id = (SELECT id FROM wallets WHERE agent_id = '{PAYER}') \
           AND chain_seq >= (SELECT chain_seq FROM ledger_journals WHERE amount_minor = 2500 AND org_id = '{org}'); \
         UPDATE transactions SET spent_total_minor = spent_total_minor - 500 WHERE org_id = '{org}' \
           AND spent_total_minor >= (SELECT spent_total_minor FROM transactions WHERE amount_minor = 3000); \
         UPDATE transactions SET amount_minor = 2500 WHERE amount_minor = 3000; \
         UPDATE wallets SET available_minor = available_minor + 500, lifetime_sent_minor = lifetime_sent_minor - 500 \
           WHERE org_id = '{org}' AND agent_id = '{PAYER}'; \
         UPDATE wallets SET available_minor = available_minor - 500, lifetime_received_minor = lifetime_received_minor - 500 \
           WHERE org_id = '{other}'",
        org = desk.org_id,
    );
    desk.app.batch(&tampering).await;
    let receiver = audit::verify(db, Some(&other)).await.unwrap();
    assert_eq!(found(&receiver), vec![], "{receiver:#?}");
    // Its own journal, and those whose balances had to follow.
    for of in [None, Some(desk.org_id.as_str())] {
        let audit = audit::verify(db, of).await.unwrap();
        let found = found(&audit);
        assert!(matches!(found[..], [("chain", 2..)]), "{audit:#?}");
        let faults = audit.checks.iter().flat_map(|checked| &checked.faults);
        let paid = "SELECT id FROM ledger_journals WHERE amount_minor = 2500";
        let id: String = desk.app.sql(paid).await[0].get(0);
        assert!(faults.into_iter().any(|fault| fault.subject == id));
    }
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_faults_are_counted_and_some_of_them_named() {
    let desk = Desk::open().await;
    let more = format!(
        "INSERT INTO wallets (org_id, id, agent_id, currency, available_minor, created_at, updated_at) \
         SELECT '{}', 'wal_' || n, 'agent-' || n, 'USD', 1, now(), now() FROM generate_series(1, 150) AS n",
        desk.org_id
    );
    desk.app.sql(&more).await;
    let audit = audit::verify(&desk.app.app.db, Some(&desk.org_id))
        .await
        .unwrap();
    assert_eq!(
        found(&audit),
        [("wallet_balances", 150), ("organization_totals", 1)]
    );
    let named = audit
        .checks
        .iter()
        .map(|checked| checked.faults.len())
        .sum::<usize>();
    assert_eq!((audit.fault_count(), named), (151, 101));
    let (code, out, _) = verify(&desk, &[]);
    assert_eq!(code, Some(1));
    assert!(out.contains("and 50 more"), "{out}");
    desk.app.stop().await;
}
