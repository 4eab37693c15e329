//! The ledger behind the wallets: after anything that happened, it explains every balance.

use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;

use super::{Desk, PAYEE, PAYER, demo_policy, invoice, with};
use crate::support::{Client, TestApp};

const AGENTS: [&str; 4] = [PAYER, PAYEE, "agent-c", "agent-d"];

/// Rows that contradict the ledger, one statement per invariant; none may give a row.
const CONTRADICTIONS: [&str; 9] = [
    "SELECT org_id, journal_id FROM ledger_entries GROUP BY org_id, journal_id, currency HAVING sum(amount_minor) <> 0",
    "SELECT currency FROM ledger_entries GROUP BY currency HAVING sum(amount_minor) <> 0",
    "SELECT w.id FROM wallets w LEFT JOIN ledger_entries e ON e.account_org_id = w.org_id AND e.wallet_id = w.id \
     GROUP BY w.org_id, w.id HAVING w.available_minor + w.held_minor <> coalesce(sum(e.amount_minor), 0)",
    "SELECT 1 FROM (SELECT balance_after_minor, sum(amount_minor) OVER (PARTITION BY account_org_id, wallet_id, account ORDER BY seq) \
     AS total FROM ledger_entries WHERE account <> 'external') AS running WHERE balance_after_minor <> total",
    "SELECT t.id FROM transactions t LEFT JOIN ledger_journals j ON j.org_id = t.org_id AND j.transaction_id = t.id \
     GROUP BY t.org_id, t.id, t.status HAVING count(j.id) <> CASE WHEN t.escrow_terms IS NULL THEN (t.status = 'settled')::int \
     WHEN t.status IN ('escrow_held', 'disputed') THEN 1 WHEN t.status IN ('settled', 'refunded') THEN 2 ELSE 0 END",
    "SELECT w.id FROM wallets w LEFT JOIN ledger_entries e ON e.account_org_id = w.org_id AND e.wallet_id = w.id \
     AND e.account = 'held' GROUP BY w.org_id, w.id HAVING w.held_minor <> coalesce(sum(e.amount_minor), 0)",
    "SELECT w.id FROM wallets w LEFT JOIN transactions t ON t.org_id = w.org_id AND t.requesting_agent_id = w.agent_id \
     AND t.currency = w.currency AND t.status IN ('escrow_held', 'disputed') GROUP BY w.org_id, w.id \
     HAVING w.held_minor <> coalesce(sum(t.amount_minor), 0)",
    "SELECT w.id FROM wallets w LEFT JOIN transactions t ON t.org_id = w.org_id AND t.requesting_agent_id = w.agent_id \
     AND t.currency = w.currency AND t.status = 'settled' GROUP BY w.org_id, w.id \
     HAVING w.lifetime_sent_minor <> coalesce(sum(t.amount_minor), 0)",
    "SELECT w.id FROM wallets w LEFT JOIN transactions t ON coalesce(t.counterparty_org_id, t.org_id) = w.org_id \
     AND t.counterparty_agent_id = w.agent_id AND t.currency = w.currency AND t.status = 'settled' \
     GROUP BY w.org_id, w.id HAVING w.lifetime_received_minor <> coalesce(sum(t.amount_minor), 0)",
];

/// One random call of one of two organisations' agents, over both or within one.
async fn act(random: &mut StdRng, callers: &[(String, Client); 2]) {
    let (_, api) = &callers[random.random_range(0..2)];
    let (other_org_id, _) = &callers[random.random_range(0..2)];
    let agent = AGENTS[random.random_range(0..AGENTS.len())];
    let other = AGENTS[random.random_range(0..AGENTS.len())];
    let amount = f64::from(random.random_range(1..60_000_u32)) / 100.0;
    let payment = match random.random_range(0..10) {
        verb @ 0..3 => {
            let verb = if verb == 0 { "fund" } else { "withdraw" };
            let path = format!("/wallets/{agent}/{verb}");
            let reply = api.post(&path, &json!({"amount": amount})).await;
            return assert!(matches!(reply.status, 200 | 400), "{}", reply.text);
        }
        3 => json!({"counterparty_agent_id": null}),
        4..7 => json!({"counterparty_agent_id": other}),
        _ => json!({"counterparty_agent_id": other, "counterparty_org_id": other_org_id}),
    };
    let payer = json!({"requesting_agent_id": agent, "amount": amount});
    let body = with(with(invoice(), payer), payment);
    // Half of them are held in escrow, and most of those end at once.
    let escrow = random.random_bool(0.5).then(|| json!({}));
    let body = with(body, json!({"escrow_conditions": escrow}));
    // Paying oneself is refused; everything else is answered.
    let reply = api.post("/payments/request", &body).await;
    assert!(matches!(reply.status, 200 | 400), "{}", reply.text);
    if reply.json["status"] == "escrow_held" {
        let id = reply.str("/transaction_id").to_owned();
        let verb = ["release", "refund", "dispute"][random.random_range(0..3)];
        let reply = api
            .post(&format!("/payments/{id}/{verb}"), &json!({}))
            .await;
        // Refunding is the other organisation's where it is paid.
        assert!(matches!(reply.status, 200 | 403), "{}", reply.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_ledger_explains_every_balance_after_a_random_mix() {
    const SEED: u64 = 4264;
    let app = TestApp::builder()
        .config(|config| config.rates.scale = 100)
        .start()
        .await;
    let desk = Desk::furnish(app).await;
    let other_org_id = desk.app.organization("Other").await;
    let other_key = desk.app.payment_key(&other_org_id).await;
    desk.app.policy(&other_key, &demo_policy()).await;
    for agent in AGENTS {
        desk.app.wallet(&other_org_id, agent, "USD", 50_000).await;
    }
    for agent in &AGENTS[2..] {
        desk.app.wallet(&desk.org_id, agent, "USD", 50_000).await;
    }
    let callers = [
        (desk.org_id.clone(), desk.api()),
        (other_org_id, desk.app.pulse().bearer(&other_key)),
    ];
    // Eight clients at once; small balances, so that many are refused or denied.
    let clients = (0..8_u64).map(|client| {
        let callers = callers.clone();
        tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(SEED + client);
            for _ in 0..25 {
                act(&mut random, &callers).await;
            }
        })
    });
    for client in join_all(clients).await {
        client.unwrap();
    }

    let settled = "SELECT count(*) FROM transactions WHERE status = 'settled'";
    assert!(desk.app.sql_number(settled).await > 20);
    for contradiction in CONTRADICTIONS {
        let rows = desk.app.sql(contradiction).await;
        assert!(rows.is_empty(), "{contradiction}: {rows:?}");
    }
    // What the API shows is what the ledger says.
    let external =
        "SELECT -sum(amount_minor)::bigint FROM ledger_entries WHERE account = 'external'";
    let outside = desk.app.sql_number(external).await;
    let mut shown = 0;
    for (_, api) in &callers {
        let wallets = api.get("/wallets").await.expect_status(200);
        for wallet in wallets.json["wallets"].as_array().unwrap() {
            for balance in ["available_balance", "held_balance"] {
                shown += (wallet[balance].as_f64().unwrap() * 100.0).round() as i64;
            }
        }
    }
    assert_eq!(shown, outside);
    drop(callers);
    desk.app.stop().await;
}

/// What Postgres refuses a statement with.
async fn refusal(desk: &Desk, statement: &str) -> String {
    let url = desk.app.database_url();
    let connecting = tokio_postgres::connect(&url, tokio_postgres::NoTls);
    let (client, connection) = connecting.await.unwrap();
    tokio::spawn(connection);
    let error = client.batch_execute(statement).await.unwrap_err();
    error.code().unwrap().code().to_owned()
}

#[tokio::test]
async fn journals_are_never_changed_and_a_payment_moves_once() {
    let desk = Desk::open().await;
    desk.api()
        .post("/payments/request", &invoice())
        .await
        .expect_status(200);
    for statement in [
        "UPDATE ledger_journals SET amount_minor = 1",
        "DELETE FROM ledger_journals",
        "TRUNCATE ledger_journals",
    ] {
        assert_eq!(refusal(&desk, statement).await, "23001", "{statement}");
    }
    // The same movement again, at the next place of the chain.
    let again = "INSERT INTO ledger_journals (org_id, id, kind, transaction_id, created_at, chain_seq, chain_hash, currency, amount_minor, \
         from_account, from_wallet_id, from_balance_minor, to_account, to_org_id, to_wallet_id, to_balance_minor) \
         SELECT org_id, 'jrn_again', kind, transaction_id, created_at, chain_seq + 100, chain_hash, currency, amount_minor, \
         from_account, from_wallet_id, from_balance_minor, to_account, to_org_id, to_wallet_id, to_balance_minor \
         FROM ledger_journals WHERE kind = 'payment'";
    assert_eq!(refusal(&desk, again).await, "23505");
    desk.app.stop().await;
}

/// What no payment can be is refused whoever writes it.
#[tokio::test]
async fn rows_that_contradict_themselves_are_refused() {
    const COLUMNS: &str = "org_id, id, kind, transaction_id, created_at, chain_seq, chain_hash, currency, amount_minor, from_account, \
                           from_wallet_id, from_balance_minor, to_account, to_org_id, to_wallet_id, to_balance_minor";
    let desk = Desk::open().await;
    desk.pay(json!({})).await.expect_status(200);
    for fault in [
        "counterparty_org_id = org_id",
        "counterparty_org_id = 'org_other', counterparty_agent_id = NULL",
        "settled_at = NULL",
        "status = 'denied'",
        "counted_at = NULL",
        "spent_total_minor = NULL",
        "counted_at = NULL, spent_total_minor = NULL",
    ] {
        let code = refusal(&desk, &format!("UPDATE transactions SET {fault}")).await;
        assert_eq!(code, "23514", "{fault}");
    }
    for (column, value) in [
        ("kind", "'fund'"),
        ("transaction_id", "NULL"),
        ("from_account", "'external'"),
        ("from_wallet_id", "NULL"),
        ("from_balance_minor", "NULL"),
        ("to_account", "'external'"),
        ("to_org_id", "org_id"),
        ("to_wallet_id", "NULL"),
        ("to_balance_minor", "NULL"),
    ] {
        let values = format!("{COLUMNS},").replace(&format!(" {column},"), &format!(" {value},"));
        let values = values.trim_end_matches(',');
        let copy = format!(
            "INSERT INTO ledger_journals ({COLUMNS}) SELECT {values} FROM ledger_journals WHERE kind = 'payment'"
        );
        assert_eq!(refusal(&desk, &copy).await, "23514", "{column}");
    }
    desk.app.stop().await;
}
