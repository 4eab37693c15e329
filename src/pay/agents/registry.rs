//! Registering, changing and removing agents, and what a valid one is.

use chrono::{DateTime, Utc};

use crate::{
    db::Conn,
    error::{Error, Result},
    identity::{Caller, organizations},
    ids,
    proto::pulpo::pay::v1 as pb,
};

use super::{
    super::{
        Pay,
        input::{self, Input},
    },
    BUILTIN, HTTP,
    builtin::Builtin,
    keys,
    rows::{self, AgentRow},
};

/// Registered agents of one organisation.
const AGENTS_MAX: usize = 100;
/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 64;
/// Names that are words of the routes.
const RESERVED: [&str; 4] = ["trigger", "status", "results", "callback-secret"];
/// How long one call may take, when nothing is said, and at most.
const TIMEOUT_SECONDS_DEFAULT: i32 = 30;
const TIMEOUT_SECONDS_MAX: i32 = 300;
/// How often a run is tried, when nothing is said, and at most.
const ATTEMPTS_DEFAULT: i32 = 3;
pub(super) const ATTEMPTS_MAX: i32 = 10;
/// The fields a change may name.
const FIELDS: [&str; 4] = ["url", "description", "timeout_seconds", "max_attempts"];

/// The agents the key may trigger.
pub(super) async fn list(pay: &Pay, caller: &Caller) -> Result<Vec<pb::Agent>> {
    let mut conn = pay.db.connection().await?;
    let registered = rows::list(&mut conn, caller.org_id()?).await?;
    let builtin = Builtin::ALL.into_iter().map(|builtin| pb::Agent {
        name: builtin.name().to_owned(),
        kind: BUILTIN.to_owned(),
        description: Some(builtin.description().to_owned()),
        ..Default::default()
    });
    let mut agents: Vec<pb::Agent> = builtin
        .chain(registered.into_iter().map(Into::into))
        .collect();
    if let Some(allowed) = caller.agents()? {
        agents.retain(|agent| allowed.contains(&agent.name));
    }
    Ok(agents)
}

/// Registers an agent; it and its secret.
pub(super) async fn register(
    pay: &Pay,
    caller: &Caller,
    request: pb::RegisterAgentRequest,
) -> Result<(AgentRow, String)> {
    let org_id = caller.org_id()?;
    require(caller, &request.name)?;
    let now = pay.clock.now();
    let row = new_row(org_id, request, pay.allows_private(), now)?;
    if Builtin::of(&row.name).is_some() || RESERVED.contains(&row.name.as_str()) {
        return Err(rows::taken());
    }
    pay.db
        .transaction("pay_register_agent", async |conn: &mut Conn| {
            // One after the other, so that the number holds.
            organizations::lock(conn, org_id).await?;
            let agents = rows::list(conn, org_id).await?;
            if agents.iter().all(|agent| agent.name != row.name) && agents.len() >= AGENTS_MAX {
                return Err(Error::precondition(
                    "TOO_MANY_AGENTS",
                    format!("An organization may register {AGENTS_MAX} agents; delete one first"),
                ));
            }
            rows::insert(conn, &row).await?;
            let (secret, _) = keys::replace(conn, &pay.secrets, (org_id, &row.id), now).await?;
            Ok((row.clone(), secret))
        })
        .await
}

/// Changes the named fields of an agent, or without a mask those that are set.
pub(super) async fn update(
    pay: &Pay,
    caller: &Caller,
    request: pb::UpdateAgentRequest,
) -> Result<()> {
    let org_id = caller.org_id()?;
    require(caller, &request.name)?;
    let now = pay.clock.now();
    let change = request.agent.unwrap_or_default();
    let fields = named_fields(&change, request.update_mask)?;
    // Refused before the agent is looked for: bad input is 400 even for an unknown name.
    let allows_private = pay.allows_private();
    apply(blank(org_id, now), &change, &fields, allows_private)?;
    require_registered(&request.name)?;
    pay.db
        .transaction("pay_update_agent", async |conn: &mut Conn| {
            let row = rows::lock(conn, org_id, &request.name).await?;
            let mut row = apply(row, &change, &fields, allows_private)?;
            row.updated_at = now;
            Ok(rows::update(conn, &row).await?)
        })
        .await
}

/// Removes an agent and its secret. Runs that have not ended fail when they are taken.
pub(super) async fn delete(pay: &Pay, caller: &Caller, name: &str) -> Result<()> {
    let org_id = caller.org_id()?;
    require(caller, name)?;
    require_registered(name)?;
    pay.db
        .transaction("pay_delete_agent", async |conn: &mut Conn| {
            let row = rows::lock(conn, org_id, name).await?;
            keys::delete(conn, org_id, &row.id).await?;
            Ok(rows::delete(conn, org_id, &row.id).await?)
        })
        .await
}

/// A new secret for the calls of an agent; it, and until when the one before signs as well.
pub(super) async fn rotate(
    pay: &Pay,
    caller: &Caller,
    name: &str,
) -> Result<(String, Option<DateTime<Utc>>)> {
    let org_id = caller.org_id()?;
    require(caller, name)?;
    require_registered(name)?;
    let now = pay.clock.now();
    pay.db
        .transaction("pay_rotate_agent_secret", async |conn: &mut Conn| {
            let row = rows::lock(conn, org_id, name).await?;
            keys::replace(conn, &pay.secrets, (org_id, &row.id), now).await
        })
        .await
}

/// A new secret for callbacks. It signs those of all agents, so a key bound to some is refused.
pub(super) async fn rotate_callbacks(
    pay: &Pay,
    caller: &Caller,
) -> Result<(String, Option<DateTime<Utc>>)> {
    let org_id = caller.org_id()?;
    if caller.agents()?.is_some() {
        return Err(Error::forbidden(
            "AGENT_NOT_ALLOWED",
            "This key may act for some agents only, and this secret signs callbacks of all of them",
        ));
    }
    let now = pay.clock.now();
    pay.db
        .transaction("pay_rotate_callback_secret", async |conn: &mut Conn| {
            keys::replace(conn, &pay.secrets, (org_id, keys::CALLBACKS), now).await
        })
        .await
}

/// Refuses an agent the key may not act for; what was not named is refused as input.
fn require(caller: &Caller, name: &str) -> Result<()> {
    match name.is_empty() {
        true => Ok(()),
        false => caller.require_agent(name),
    }
}

/// Built-in agents cannot be changed.
fn require_registered(name: &str) -> Result<()> {
    match Builtin::of(name) {
        None => Ok(()),
        Some(_) => Err(Error::conflict(
            "AGENT_BUILT_IN",
            "This agent is built in; only registered agents can be changed",
        )),
    }
}

fn new_row(
    org_id: &str,
    request: pb::RegisterAgentRequest,
    allows_private: bool,
    now: DateTime<Utc>,
) -> Result<AgentRow> {
    let mut input = Input::default();
    name(&mut input, &request.name);
    if request.kind.as_deref().is_some_and(|kind| kind != HTTP) {
        input.fault("kind", "must be http; agents of other kinds are built in");
    }
    let change = pb::AgentChange {
        url: Some(request.url),
        description: request.description,
        timeout_seconds: request.timeout_seconds,
        max_attempts: request.max_attempts,
    };
    let row = AgentRow {
        name: request.name,
        ..blank(org_id, now)
    };
    let row = read(&mut input, row, &change, &FIELDS, allows_private);
    input.finish()?;
    Ok(row)
}

fn name(input: &mut Input, name: &str) {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    if name.is_empty() {
        input.fault("name", "is required");
    } else if name.len() > NAME_CHARS_MAX
        || !name.starts_with(|c: char| c.is_ascii_lowercase())
        || !name.split('-').all(is_word)
    {
        input.fault(
            "name",
            format!("must be lower-case letters, digits and single hyphens, begin with a letter, and have at most {NAME_CHARS_MAX} characters"),
        );
    }
}

/// Puts the named fields of a change over an agent; every fault is named.
fn apply(
    row: AgentRow,
    change: &pb::AgentChange,
    fields: &[&str],
    allows_private: bool,
) -> Result<AgentRow> {
    let mut input = Input::default();
    let row = read(&mut input, row, change, fields, allows_private);
    input.finish()?;
    Ok(row)
}

fn read(
    input: &mut Input,
    mut row: AgentRow,
    change: &pb::AgentChange,
    fields: &[&str],
    allows_private: bool,
) -> AgentRow {
    for field in fields {
        match *field {
            "url" => {
                if let Some(url) = input.target("url", change.url.as_deref(), allows_private) {
                    row.url = url;
                }
            }
            "description" => {
                input.description("description", change.description.as_deref());
                row.description.clone_from(&change.description);
            }
            "timeout_seconds" => {
                row.timeout_seconds = change.timeout_seconds.unwrap_or(TIMEOUT_SECONDS_DEFAULT);
                within(input, field, row.timeout_seconds, TIMEOUT_SECONDS_MAX);
            }
            "max_attempts" => {
                row.max_attempts = change.max_attempts.unwrap_or(ATTEMPTS_DEFAULT);
                within(input, field, row.max_attempts, ATTEMPTS_MAX);
            }
            _ => {}
        }
    }
    row
}

fn within(input: &mut Input, field: &str, value: i32, max: i32) {
    if !(1..=max).contains(&value) {
        input.fault(field, format!("must be a whole number from 1 to {max}"));
    }
}

/// The fields a change touches: those of the mask, or those that are set where there is none.
fn named_fields(
    change: &pb::AgentChange,
    mask: Option<prost_types::FieldMask>,
) -> Result<Vec<&'static str>> {
    input::named_fields(&FIELDS, mask, |field| match field {
        "url" => change.url.is_some(),
        "description" => change.description.is_some(),
        "timeout_seconds" => change.timeout_seconds.is_some(),
        _ => change.max_attempts.is_some(),
    })
}

/// An agent to be filled in.
fn blank(org_id: &str, now: DateTime<Utc>) -> AgentRow {
    AgentRow {
        org_id: org_id.to_owned(),
        id: ids::short("agt", 12),
        name: String::new(),
        url: String::new(),
        description: None,
        timeout_seconds: TIMEOUT_SECONDS_DEFAULT,
        max_attempts: ATTEMPTS_DEFAULT,
        created_at: now,
        updated_at: now,
    }
}
