//! Pulpo: five documented APIs from one set of Protobuf definitions.
//!
//! A request's way: `server` (listeners, surfaces) → `pulpo_gateway` (REST only) → `layers` → a domain's service
//! → a domain function → Postgres. Domains never import one another; they meet in `events`.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connectors;
pub mod contract;
pub mod db;
pub mod deploy;
pub mod error;
pub mod events;
pub mod housekeeping;
pub mod hub;
pub mod idempotency;
pub mod identity;
pub mod ids;
pub mod integrations;
pub mod layers;
pub mod operations;
pub mod pay;
pub mod proto;
pub mod rates;
pub mod secrets;
pub mod server;
pub mod surfaces;
pub mod telemetry;
pub mod workspace;
