//! Pulpo: five documented APIs from one set of Protobuf definitions.
//!
//! A request's way: `server` (listeners, surfaces) → `pulpo_gateway` (REST only) → `layers` → a domain's service
//! → a domain function → Postgres. Domains never import one another; they meet in `events`. Beside the requests
//! (`workers`): `events` are consumed, `jobs` done, deliveries sent (`delivery`), and what has expired is swept.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connectors;
pub mod contract;
pub mod db;
pub mod delivery;
pub mod deploy;
pub mod error;
pub mod events;
pub mod housekeeping;
pub mod hub;
pub mod idempotency;
pub mod identity;
pub mod ids;
pub mod integrations;
pub mod jobs;
pub mod lanes;
pub mod layers;
pub mod operations;
pub mod pay;
pub mod proto;
pub mod rates;
pub mod secrets;
pub mod server;
pub mod shares;
pub mod surfaces;
pub mod telemetry;
pub mod workers;
pub mod workspace;
