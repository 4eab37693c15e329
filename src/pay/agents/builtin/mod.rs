//! Built-in agents: computations over what the organisation pushed and paid.
//!
//! What an input may hold is said by each agent, and anything else is refused before a run is queued. A run computes in one
//! transaction that reads one snapshot, within a time limit, over a bounded number of rows; the instants it means are counted
//! from when it was queued, so that repeating it finds the same.

mod fields;
mod findings;
mod market;
mod scan;
mod scanner;
mod spend;

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel_async::RunQueryDsl;

use crate::{
    db::{Conn, transaction},
    error::{Error, Result},
};

use super::{
    super::{Pay, compliance::RuleBook, input::Input},
    runs::RunRow,
};

use fields::Fields;

/// How long one computation may take. The statements of one end earlier, see [`STATEMENT_LIMIT`].
pub(super) const TIMEOUT: Duration = Duration::from_secs(120);
/// A statement that takes longer is ended by the database.
const STATEMENT_LIMIT: &str = "SET LOCAL statement_timeout = '30s'";

/// The built-in agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builtin {
    Market,
    Spend,
    Compliance,
}

/// What an input asks for.
pub(super) enum Parameters {
    Market(market::Parameters),
    Spend(spend::Parameters),
    Compliance(scanner::Parameters),
}

/// Whose, and which part of it, a computation looks at.
struct Scope<'a> {
    org_id: &'a str,
    /// The agents whose payments are looked at; none for all.
    payment_agents: Option<&'a [String]>,
}

impl Builtin {
    /// All of them, by name.
    pub(super) const ALL: [Self; 3] = [Self::Compliance, Self::Market, Self::Spend];

    /// The agent of a name.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|builtin| builtin.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Market => "market-analyzer",
            Self::Spend => "spend-analyzer",
            Self::Compliance => "compliance-scanner",
        }
    }

    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Market => "Sums up a number in the pushed records, and how it moves, by category",
            Self::Spend => {
                "Sums up what was paid: to whom, for what, how concentrated, and what stands out"
            }
            Self::Compliance => {
                "Holds past payments against the compliance rules and lists what is found"
            }
        }
    }

    /// What an input, an object, asks for; what is wrong with it is noted.
    pub(super) fn read(
        self,
        input: &mut Input,
        text: &str,
        rules: &RuleBook,
        now: DateTime<Utc>,
    ) -> Parameters {
        let mut fields = Fields::new(input, text);
        let parameters = match self {
            Self::Market => Parameters::Market(market::Parameters::read(&mut fields)),
            Self::Spend => Parameters::Spend(spend::Parameters::read(&mut fields, now)),
            Self::Compliance => {
                Parameters::Compliance(scanner::Parameters::read(&mut fields, rules, now))
            }
        };
        fields.finish(self.name());
        parameters
    }
}

impl Parameters {
    /// Whether payments are looked at; records belong to no agent.
    pub(super) fn reads_payments(&self) -> bool {
        !matches!(self, Self::Market(_))
    }

    /// The one agent whose payments are asked for.
    pub(super) fn agent_id(&self) -> Option<&str> {
        match self {
            Self::Market(_) => None,
            Self::Spend(parameters) => parameters.agent_id.as_deref(),
            Self::Compliance(parameters) => parameters.agent_id.as_deref(),
        }
    }
}

/// Computes the output of a run, a JSON text.
pub(super) async fn run(pay: &Pay, run: &RunRow) -> Result<String> {
    let builtin = Builtin::of(&run.agent)
        .ok_or_else(|| Error::precondition("AGENT_GONE", "There is no such agent any more"))?;
    let mut input = Input::default();
    let parameters = builtin.read(&mut input, &run.input.0, &pay.sources.rules, run.created_at);
    input.finish()?;
    let scope = Scope {
        org_id: &run.org_id,
        payment_agents: run.payment_agents.as_deref(),
    };
    let computed = pay
        .db
        .transaction("pay_compute_agent", async |conn: &mut Conn| {
            transaction::begin_snapshot(conn).await?;
            diesel::sql_query(STATEMENT_LIMIT).execute(conn).await?;
            match &parameters {
                Parameters::Market(parameters) => market::compute(conn, &scope, parameters).await,
                Parameters::Spend(parameters) => spend::compute(conn, &scope, parameters).await,
                Parameters::Compliance(parameters) => {
                    scanner::compute(conn, &scope, parameters, &pay.sources.rules).await
                }
            }
        })
        .await;
    computed.map_err(narrower)
}

/// What took too long takes as long again: its owner is told instead.
fn narrower(error: Error) -> Error {
    let is_timeout = error
        .source
        .as_ref()
        .and_then(|source| source.downcast_ref::<diesel::result::Error>())
        .is_some_and(|source| source.to_string().contains("statement timeout"));
    match is_timeout {
        true => Error::precondition(
            "RUN_TOO_LARGE",
            "The computation took too long; ask for a shorter period or fewer records",
        ),
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use diesel::result::{DatabaseErrorKind, Error as DieselError};

    use super::*;

    #[test]
    fn what_takes_too_long_is_the_owners_to_change() {
        let error = |message: &str| {
            let kind = DatabaseErrorKind::Unknown;
            Error::from(DieselError::DatabaseError(
                kind,
                Box::new(message.to_owned()),
            ))
        };
        let slow = narrower(error("canceling statement due to statement timeout"));
        assert_eq!(slow.reason, "RUN_TOO_LARGE");
        assert_eq!(narrower(error("syntax error")).reason, "INTERNAL");
    }

    #[test]
    fn every_agent_is_found_by_its_name() {
        for builtin in Builtin::ALL {
            assert_eq!(Builtin::of(builtin.name()), Some(builtin));
        }
        assert_eq!(Builtin::of("own-agent"), None);
    }
}
