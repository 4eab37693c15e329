//! Random calls through the door against a small model: after every step, statuses, reasons, balances and the list of
//! payments are what the model says.

mod book;

use std::collections::BTreeMap;

use chrono::Duration;
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use pulpo::clock::Clock;
use serde_json::{Value, json};

use self::book::{
    AGENTS, Answered, DEFAULT, Model, OPENING_MINOR, OWN, OWN_POLICY_OF, Payment, Stored, Wallet,
};
use super::with;
use crate::support::{Client, Reply, TestApp};

const CASES: u32 = 12;

#[derive(Clone, Debug)]
enum Step {
    Fund(&'static str, i64),
    Withdraw(&'static str, i64),
    Pay(Payment, Option<u8>),
    /// One of the keyed payments so far once more, chosen by this number.
    Repeat(usize),
    /// Time passes.
    Wait(Duration),
}

/// One organisation, and the model of it.
struct Game<'a> {
    api: Client,
    clock: &'a Clock,
    model: Model,
}

type Checked = Result<(), TestCaseError>;

impl<'a> Game<'a> {
    async fn new(app: &TestApp, clock: &'a Clock) -> Self {
        let org_id = app.organization("Model").await;
        let key = app.payment_key(&org_id).await;
        let mut model = Model::default();
        for (agent, opening_minor) in AGENTS.into_iter().zip(OPENING_MINOR) {
            app.wallet(&org_id, agent, "USD", opening_minor).await;
            let wallet = Wallet {
                available_minor: opening_minor,
                ..Wallet::default()
            };
            model.wallets.insert(agent.to_owned(), wallet);
        }
        for (agent, policy) in [(None, &DEFAULT), (Some(OWN_POLICY_OF), &OWN)] {
            let human = (policy.human_above < i64::MAX).then(|| units(policy.human_above));
            let body = json!({
                "policy_name": "Model",
                "agent_id": agent,
                "max_per_transaction": units(policy.per_transaction),
                "max_daily": units(policy.daily),
                "max_monthly": units(policy.monthly),
                "require_human_above": human,
                "approved_counterparties": policy.approved,
                "blocked_counterparties": policy.blocked,
                "allowed_categories": policy.categories,
            });
            app.policy(&key, &body).await;
        }
        let api = app.pulse().bearer(&key);
        Self { api, clock, model }
    }

    async fn play(&mut self, step: &Step) -> Checked {
        match step {
            Step::Fund(agent, amount_minor) => self.transfer("fund", agent, *amount_minor).await?,
            Step::Withdraw(agent, amount_minor) => {
                self.transfer("withdraw", agent, -amount_minor).await?;
            }
            Step::Pay(payment, key) => self.pay(payment, *key).await?,
            Step::Repeat(choice) => {
                let count = self.model.answered.len().max(1);
                let chosen = self.model.answered.get(choice % count);
                if let Some((payment, key)) = chosen.map(|a| (a.payment.clone(), a.key)) {
                    self.pay(&payment, Some(key)).await?;
                }
            }
            Step::Wait(time) => self.clock.set(self.clock.now() + *time),
        }
        self.compare().await
    }

    async fn transfer(&mut self, verb: &str, agent: &str, change_minor: i64) -> Checked {
        let body = json!({"amount": units(change_minor.abs())});
        let reply = self
            .api
            .post(&format!("/wallets/{agent}/{verb}"), &body)
            .await;
        let Some(wallet) = self.model.wallets.get_mut(agent) else {
            prop_assert_eq!(reply.status, 404, "{}", reply.text);
            return Ok(());
        };
        if wallet.available_minor + change_minor < 0 {
            prop_assert_eq!(reply.status, 400, "{}", reply.text);
            return Ok(());
        }
        wallet.available_minor += change_minor;
        prop_assert_eq!(reply.status, 200, "{}", &reply.text);
        prop_assert_eq!(
            minor(&reply.json["new_balance"]),
            wallet.available_minor,
            "{}",
            reply.text
        );
        Ok(())
    }

    async fn pay(&mut self, payment: &Payment, key: Option<u8>) -> Checked {
        let now = self.clock.now();
        let reply = self.request(payment, key).await;
        if payment.payee == Some(payment.payer) {
            prop_assert_eq!(reply.status, 400, "{}", reply.text);
            return Ok(());
        }
        let is_remembered = |a: &&Answered| Some(a.key) == key && now < a.at + Duration::hours(24);
        if let Some(first) = self.model.answered.iter().find(is_remembered) {
            if first.payment == *payment {
                prop_assert_eq!((reply.status, &reply.text), (200, &first.text));
            } else {
                prop_assert_eq!(reply.status, 409, "{}", reply.text);
            }
            return Ok(());
        }
        let reason = self.model.decide(payment, now);
        let (status, decision) = match reason {
            "policy_pass" => ("authorized", "approved"),
            "human_required" => ("pending_human_review", "pending_human_review"),
            _ => ("denied", "denied"),
        };
        prop_assert_eq!(reply.status, 200, "{}", &reply.text);
        let said = &reply.json["authorization"];
        prop_assert_eq!(&said["reason_code"], reason, "{}", &reply.text);
        prop_assert_eq!(&said["decision"], decision, "{}", &reply.text);
        prop_assert_eq!(&reply.json["status"], status, "{}", &reply.text);
        self.model.record(payment, reason, now);
        if let Some(key) = key {
            self.model.answered.retain(|a| a.key != key);
            self.model.answered.push(Answered {
                key,
                payment: payment.clone(),
                at: now,
                text: reply.text,
            });
        }
        Ok(())
    }

    async fn request(&self, payment: &Payment, key: Option<u8>) -> Reply {
        let body = json!({
            "requesting_agent_id": payment.payer,
            "amount": units(payment.amount_minor),
            "currency": payment.currency,
            "tx_type": "model",
        });
        let optional = json!({
            "counterparty_agent_id": payment.payee,
            "category": payment.category,
        });
        let api = match key {
            Some(key) => self
                .api
                .clone()
                .header("idempotency-key", format!("key-{key}")),
            None => self.api.clone(),
        };
        api.post("/payments/request", &with(body, optional)).await
    }

    /// What the API shows is what the model knows.
    async fn compare(&self) -> Checked {
        let shown = self.api.get("/wallets").await;
        let rows = shown.json["wallets"].as_array();
        let wallets = rows.into_iter().flatten().map(|row| {
            let wallet = Wallet {
                available_minor: minor(&row["available_balance"]),
                sent_minor: minor(&row["lifetime_sent"]),
                received_minor: minor(&row["lifetime_received"]),
            };
            (text(&row["agent_id"]), wallet)
        });
        prop_assert_eq!(&wallets.collect::<BTreeMap<_, _>>(), &self.model.wallets);

        let shown = self.api.get("/payments?limit=200").await;
        let rows = shown.json["transactions"].as_array();
        let stored = rows.into_iter().flatten().map(|row| Stored {
            payer: text(&row["requesting_agent_id"]),
            amount_minor: minor(&row["amount"]),
            status: text(&row["status"]),
        });
        let stored: Vec<_> = stored.collect();
        prop_assert!(
            stored.iter().eq(self.model.stored.iter().rev()),
            "{stored:?}"
        );
        Ok(())
    }
}

fn units(amount_minor: i64) -> f64 {
    amount_minor as f64 / 100.0
}

fn minor(amount: &Value) -> i64 {
    amount
        .as_f64()
        .map_or(i64::MIN, |units| (units * 100.0).round() as i64)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn payment() -> impl Strategy<Value = Payment> {
    // Round amounts meet the limits exactly.
    let amount = prop_oneof![3 => (1..=11_i64).prop_map(|n| n * 1_000), 1 => 1..12_000_i64];
    let currency = prop_oneof![12 => Just("USD"), 1 => Just("EUR")];
    let category = prop_oneof![8 => Just(Some("ops")), 1 => Just(Some("fun")), 1 => Just(None)];
    let payer = prop_oneof![6 => Just("agent-a"), 3 => Just("agent-b"), 2 => prop::sample::select(&AGENTS[..])];
    let payee = prop::option::weighted(0.8, prop::sample::select(&AGENTS[..]));
    (payer, payee, amount, currency, category).prop_map(
        |(payer, payee, amount_minor, currency, category)| Payment {
            payer,
            payee,
            amount_minor,
            currency,
            category,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let agent = || prop::sample::select(&AGENTS[..4]);
    let key = prop::option::weighted(0.3, 0..4_u8);
    let wait = prop::sample::select(vec![1, 11, 12, 24, 25, 24 * 29]);
    prop_oneof![
        1 => (agent(), 1..30_000_i64).prop_map(|(agent, amount)| Step::Fund(agent, amount)),
        1 => (agent(), 1..30_000_i64).prop_map(|(agent, amount)| Step::Withdraw(agent, amount)),
        9 => (payment(), key).prop_map(|(payment, key)| Step::Pay(payment, key)),
        2 => any::<usize>().prop_map(Step::Repeat),
        2 => wait.prop_map(|hours| Step::Wait(Duration::hours(hours))),
    ]
}

#[test]
fn random_steps_agree_with_a_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clock = Clock::fixed("2026-04-14T12:00:00Z".parse().unwrap());
    let app = TestApp::builder()
        .clock(&clock)
        .config(|config| config.rates.scale = 1000)
        .start();
    let app = runtime.block_on(app);
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..Config::default()
    });
    let steps = prop::collection::vec(step(), 20..40);
    let outcome = runner.run(&steps, |steps| {
        runtime.block_on(async {
            let mut game = Game::new(&app, &clock).await;
            for step in &steps {
                game.play(step).await?;
            }
            Ok(())
        })
    });
    runtime.block_on(app.stop());
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
