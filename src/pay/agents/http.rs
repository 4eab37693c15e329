//! Calling a registered agent: one signed POST, and what its answer means.
//!
//! The run's id is the `webhook-id` of every attempt, so that an agent that did the work and whose answer was lost knows it
//! again.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    delivery::{
        Letter,
        egress::{Answer, Exchange},
    },
    error::{Error, Result},
};

use super::{
    super::{Pay, time, webhooks::PROFILE},
    keys, rows,
    runs::{Ending, RunRow},
};

/// The longest a registered agent may ask for.
pub(super) const TIMEOUT_MAX: Duration = Duration::from_secs(300);
/// The largest answer that is taken, in bytes.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;
/// Deepest nesting of an answer.
const OUTPUT_DEPTH_MAX: usize = 64;
/// The kind of event a call is.
const EVENT: &str = "agent.run";
/// How much of a refusal's body is told, in characters.
const SAID_CHARS_MAX: usize = 200;

/// What an agent is told.
#[derive(Serialize)]
struct Body<'a> {
    run_id: &'a str,
    agent: &'a str,
    priority: &'a str,
    input: &'a RawValue,
    created_at: String,
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Ended(Ending),
    /// Another attempt may go better.
    Again(String),
}

/// Calls the agent of a run. A call that may go better fails until the last attempt, `attempt` counting from 1.
pub(super) async fn call(pay: &Pay, run: &RunRow, attempt: i32) -> Result<Ending> {
    let now = pay.clock.now();
    let (agent, secrets) = {
        let mut conn = pay.db.connection().await?;
        let id = run.agent_id.as_deref().unwrap_or_default();
        let Some(agent) = rows::find(&mut conn, &run.org_id, id).await? else {
            let error = "The agent was removed before the run was done";
            return Ok(Ending::Failed(error.to_owned()));
        };
        let of = (run.org_id.as_str(), id);
        let secrets = keys::opened(&mut conn, &pay.secrets, of, now).await?;
        (agent, secrets)
    };
    if attempt > agent.max_attempts {
        return Ok(Ending::Failed(
            "The last attempt was interrupted".to_owned(),
        ));
    }
    let body = body(run)?;
    let timeout = Duration::from_secs(u64::from(agent.timeout_seconds.unsigned_abs()));
    let letter = Letter {
        url: &agent.url,
        delivery_id: &run.id,
        event_id: &run.id,
        event_type: EVENT,
        retry_count: attempt - 1,
        body: &body,
        secrets: &secrets,
        timeout: timeout.min(TIMEOUT_MAX),
        response_bytes_max: OUTPUT_BYTES_MAX,
    };
    match meaning(pay.sender.post(&PROFILE, &letter).await) {
        Meaning::Ended(ending) => Ok(ending),
        Meaning::Again(error) if attempt >= agent.max_attempts => Ok(Ending::Failed(error)),
        Meaning::Again(error) => Err(Error::internal(anyhow::anyhow!(error))),
    }
}

fn body(run: &RunRow) -> Result<String> {
    let body = Body {
        run_id: &run.id,
        agent: &run.agent,
        priority: &run.priority,
        input: serde_json::from_str(&run.input.0).map_err(Error::internal)?,
        created_at: time::text(run.created_at),
    };
    serde_json::to_string(&body).map_err(Error::internal)
}

/// Any 2xx ends the run, because the work was done: with its JSON as output, or, if that is none, as a failure. Of the other
/// statuses those are tried again that say so themselves.
fn meaning(exchange: Exchange) -> Meaning {
    let answer = match exchange.response {
        Ok(answer) => answer,
        Err(error) => return Meaning::Again(format!("The agent was not reached: {error}")),
    };
    match answer.status {
        200..=299 => Meaning::Ended(match output(&answer) {
            Ok(output) => Ending::Completed(output),
            Err(error) => Ending::Failed(error),
        }),
        408 | 425 | 429 | 500.. => Meaning::Again(refusal(&answer)),
        _ => Meaning::Ended(Ending::Failed(refusal(&answer))),
    }
}

/// The answer's JSON as it was written; none is null.
fn output(answer: &Answer) -> std::result::Result<String, String> {
    let status = answer.status;
    if !answer.is_whole {
        return Err(format!(
            "The agent answered {status}, but its body was broken off, no text, or larger than {OUTPUT_BYTES_MAX} bytes"
        ));
    }
    let text = answer.body.trim();
    if text.is_empty() {
        return Ok("null".to_owned());
    }
    let is_json = super::super::input::depth(text) <= OUTPUT_DEPTH_MAX
        && serde_json::from_str::<&RawValue>(text).is_ok();
    match is_json {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "The agent answered {status}, but its body is no JSON of at most {OUTPUT_DEPTH_MAX} levels"
        )),
    }
}

fn refusal(answer: &Answer) -> String {
    let said: String = answer.body.trim().chars().take(SAID_CHARS_MAX).collect();
    match said.is_empty() {
        true => format!("The agent answered {}", answer.status),
        false => format!("The agent answered {}: {said}", answer.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Meaning {
        let answer = Answer {
            status,
            body: body.to_owned(),
            is_whole: true,
        };
        meaning(Exchange {
            response: Ok(answer),
            duration: Duration::ZERO,
        })
    }

    #[test]
    fn a_success_ends_the_run_whatever_its_body() {
        let completed = |text: &str| Meaning::Ended(Ending::Completed(text.to_owned()));
        let text = r#"{"b":1.00000000000000000000001,"a":[null]}"#;
        assert_eq!(answered(200, text), completed(text));
        assert_eq!(answered(201, " [1] \n"), completed("[1]"));
        assert_eq!(answered(204, ""), completed("null"));
        for bad in ["thanks", "{", "{} {}", &"[".repeat(1000)] {
            let meaning = answered(200, bad);
            assert!(
                matches!(meaning, Meaning::Ended(Ending::Failed(_))),
                "{bad}"
            );
        }
        let cut = Answer {
            status: 200,
            body: "{}".to_owned(),
            is_whole: false,
        };
        assert!(output(&cut).is_err());
    }

    #[test]
    fn only_what_may_go_better_is_tried_again() {
        for status in [408, 425, 429, 500, 503, 599] {
            assert!(
                matches!(answered(status, ""), Meaning::Again(_)),
                "{status}"
            );
        }
        for status in [301, 307, 400, 404, 410, 422] {
            let meaning = answered(status, "no");
            let expected = format!("The agent answered {status}: no");
            assert_eq!(meaning, Meaning::Ended(Ending::Failed(expected)));
        }
        let unreached = Exchange {
            response: Err("no answer within 1 seconds".to_owned()),
            duration: Duration::ZERO,
        };
        assert!(matches!(meaning(unreached), Meaning::Again(_)));
    }
}
