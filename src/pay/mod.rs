//! Payments between agents: wallets, spending policies, authorisation, and a ledger.
//!
//! What is promised:
//! - A payment is decided by one pure function ([`decision`]) over facts read in its own transaction; the payments of one
//!   wallet are decided one after the other, so no limit is passed by concurrency.
//! - Transaction, decision, history, wallets, ledger journal, outbox events and the idempotency record are written in
//!   one database transaction: all of it, or nothing.
//! - Money is integer minor units, balances never fall below zero, every journal sums to zero, and journals are never
//!   changed. The database enforces these too.
//! - What belongs to another organisation does not exist; the receiving organisation sees payments made to it. A key
//!   bound to some agents is shown what concerns these (`listing`), and refused the others.
//!
//! What happened reaches others by `webhooks`; `agents` compute over payments and data, or are called to; whether it is true
//! is asked by `audit` (the ledger) and `reconciliation` (the records of other systems).
//!
//! A request's way: `payments` (rpc) → `request` (read) → `engine` (decide, in groups) → `record` and `settlement` (write). What a
//! human decides is `review`, what is held `escrow`, what time does to both `lapse`; `history` tells of all of it. `policy_input`
//! holds what a valid policy is; `input` reads fields and collects faults.

use std::sync::Arc;

use pulpo_gateway::services::Services;
use tokio::sync::Semaphore;

use crate::{
    app::App,
    clock::Clock,
    db::Db,
    delivery,
    lanes::Lanes,
    proto::pulpo::pay::v1::{
        agent_service_server::AgentServiceServer, data_service_server::DataServiceServer,
        escrow_service_server::EscrowServiceServer, payment_service_server::PaymentServiceServer,
        platform_service_server::PlatformServiceServer, policy_service_server::PolicyServiceServer,
        reconciliation_service_server::ReconciliationServiceServer,
        report_service_server::ReportServiceServer, review_service_server::ReviewServiceServer,
        wallet_service_server::WalletServiceServer, webhook_service_server::WebhookServiceServer,
    },
    secrets::Secrets,
    workers::Workers,
};

use engine::{Engine, book::Sources};

pub mod admin;
pub mod agents;
pub mod audit;
mod backtest;
pub mod compliance;
pub mod data;
pub mod decision;
mod engine;
pub mod escrow;
mod history;
mod input;
mod lapse;
pub mod ledger;
pub mod listing;
pub mod money;
mod payments;
mod platform;
pub mod policies;
mod policy_change;
mod policy_input;
mod policy_service;
mod reconciliation;
mod record;
mod reports;
mod request;
mod review;
mod schema;
mod settlement;
mod time;
pub mod transactions;
pub mod transitions;
mod wallet_service;
pub mod wallets;
pub mod webhooks;
pub mod windows;

#[cfg(test)]
mod decision_reference;
#[cfg(test)]
mod decision_tests;

/// What the services of payments are made of.
#[derive(Clone)]
struct Pay {
    db: Db,
    clock: Clock,
    rates_scale: u32,
    secrets: Secrets,
    sender: delivery::Sender,
    sources: Sources,
    engine: Arc<Lanes<Engine>>,
    backtests: Arc<Semaphore>,
}

impl Pay {
    fn new(app: &App) -> Self {
        let sources = Sources {
            rules: Arc::clone(&app.compliance),
            policies: Arc::default(),
        };
        Self {
            db: app.db.clone(),
            clock: app.clock.clone(),
            rates_scale: app.config.rates.scale,
            secrets: app.secrets.clone(),
            sender: app.sender.clone(),
            engine: Engine::start(app, sources.clone()),
            sources,
            backtests: backtest::room(),
        }
    }

    /// Whether webhooks may go to any address.
    fn allows_private(&self) -> bool {
        self.sender.egress().allows_private()
    }
}

/// Adds the services of payments.
pub fn register(app: &App, services: &mut Services) {
    let pay = Pay::new(app);
    services
        .add_service(PlatformServiceServer::new(pay.clone()))
        .add_service(PaymentServiceServer::new(pay.clone()))
        .add_service(ReviewServiceServer::new(pay.clone()))
        .add_service(EscrowServiceServer::new(pay.clone()))
        .add_service(WalletServiceServer::new(pay.clone()))
        .add_service(PolicyServiceServer::new(pay.clone()))
        .add_service(WebhookServiceServer::new(pay.clone()))
        .add_service(DataServiceServer::new(pay.clone()))
        .add_service(AgentServiceServer::new(pay.clone()))
        .add_service(ReconciliationServiceServer::new(pay.clone()))
        .add_service(ReportServiceServer::new(pay));
}

/// Adds what payments do outside of requests: the kinds of jobs and their schedules go into `workers.jobs`, what reacts
/// to events into `workers.consumers`.
pub fn work(app: &App, workers: &mut Workers) {
    lapse::work(app, &mut workers.jobs);
    agents::work(app, &mut workers.jobs);
    reconciliation::work(app, &mut workers.jobs);
    workers.consumers.push(Arc::new(webhooks::Deliveries));
}
