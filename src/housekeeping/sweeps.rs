//! What is swept: one statement a table. `$1` is now, `$2` the most rows it may touch.
//!
//! Rows that another transaction holds are passed over, so workers share the work instead of waiting for one another or
//! for a request; whoever is passed over comes with the next round. Nothing is swept that a rule could still ask for.

/// One kind of rows whose time is over.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// Its name in logs, metrics and reports.
    pub name: &'static str,
    pub(super) statement: &'static str,
}

/// Everything that is swept.
pub const SWEEPS: [Sweep; 9] = [
    // Used and revoked ones too, but not before they expire: showing one again must still revoke its family.
    Sweep {
        name: "refresh_tokens",
        statement: "DELETE FROM refresh_tokens WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM refresh_tokens WHERE expires_at <= $1
            ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    },
    Sweep {
        name: "idempotency_keys",
        statement: "DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM idempotency_keys WHERE expires_at <= $1
            ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    },
    // They stay as a record of who was invited, and make room for a new invitation to the same address.
    Sweep {
        name: "invitations",
        statement: "UPDATE invitations SET status = 'expired' WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM invitations WHERE status = 'pending' AND expires_at <= $1
            ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    },
    // A window is a minute long, a day one day; the rest is a margin for replicas whose clocks differ.
    Sweep {
        name: "rate_hits",
        statement: "DELETE FROM rate_hits WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM rate_hits WHERE at < $1 - interval '5 minutes'
            ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    },
    Sweep {
        name: "rate_days",
        statement: "DELETE FROM rate_days WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM rate_days WHERE day < ($1 AT TIME ZONE 'UTC')::date - 2
            ORDER BY day LIMIT $2 FOR UPDATE SKIP LOCKED))",
    },
    Sweep {
        name: "jobs",
        statement: "DELETE FROM jobs WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM jobs WHERE finished_at < $1 - interval '7 days' AND state = 'done'
            ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    },
    // Longer, because somebody should look at them.
    Sweep {
        name: "dead_jobs",
        statement: "DELETE FROM jobs WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM jobs WHERE finished_at < $1 - interval '90 days' AND state = 'dead'
            ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    },
    // Those that have not ended stay, however old.
    Sweep {
        name: "agent_runs",
        statement: "DELETE FROM pay_agent_runs WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM pay_agent_runs WHERE completed_at < $1 - interval '90 days'
            ORDER BY completed_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    },
    // A replay reaches back as far: it must know what was delivered.
    Sweep {
        name: "deliveries",
        statement: "DELETE FROM deliveries WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM deliveries WHERE created_at < $1 - interval '30 days' AND status <> 'pending'
            ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    },
];
