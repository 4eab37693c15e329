//! The checks that are one statement each: a row is a fault.
//!
//! `$1` is the organisation, null for all. Sums are `numeric`: what was tampered with may be beyond 64 bits.

/// A check.
pub(super) struct Statement {
    /// Its name.
    pub(super) name: &'static str,
    /// What holds when it gives no row.
    pub(super) promise: &'static str,
    /// Whether it makes sense over all organisations only.
    pub(super) is_of_all: bool,
    /// Gives `org_id`, `subject` and `detail` of each fault.
    pub(super) faults: &'static str,
}

/// All of them, in the order in which they are made: from single entries to the whole.
pub(super) const CHECKS: &[Statement] = &[
    Statement {
        name: "accounts",
        promise: "every entry of a wallet names one that exists, in its currency",
        is_of_all: false,
        faults: ACCOUNTS,
    },
    Statement {
        name: "running_balances",
        promise: "in their order, the entries of an account lead from each balance to the next",
        is_of_all: false,
        faults: RUNNING_BALANCES,
    },
    Statement {
        name: "wallet_balances",
        promise: "what is available and held of a wallet are the sums of the entries of its two accounts",
        is_of_all: false,
        faults: WALLET_BALANCES,
    },
    Statement {
        name: "payment_journals",
        promise: "every payment has the journals of its status and no others",
        is_of_all: false,
        faults: PAYMENT_JOURNALS,
    },
    Statement {
        name: "payment_movements",
        promise: "every journal of a payment moves its amount from where it was to where it belongs",
        is_of_all: false,
        faults: PAYMENT_MOVEMENTS,
    },
    Statement {
        name: "policy_versions",
        promise: "every payment that a policy decided names what the policy said then",
        is_of_all: false,
        faults: POLICY_VERSIONS,
    },
    Statement {
        name: "escrow_states",
        promise: "every escrow stands as its payment does, with its amount",
        is_of_all: false,
        faults: ESCROW_STATES,
    },
    Statement {
        name: "held_escrows",
        promise: "what is held of a wallet is the sum of the open escrows of its agent",
        is_of_all: false,
        faults: HELD_ESCROWS,
    },
    Statement {
        name: "lifetime_totals",
        promise: "what a wallet ever sent and received are the sums of the settled payments",
        is_of_all: false,
        faults: LIFETIME_TOTALS,
    },
    Statement {
        name: "running_totals",
        promise: "the approved payments of a payer, and only they, lead from each total to the next",
        is_of_all: false,
        faults: RUNNING_TOTALS,
    },
    Statement {
        name: "organization_totals",
        promise: "the wallets of an organisation hold what came in less what went out, other organisations included",
        is_of_all: false,
        faults: ORGANIZATION_TOTALS,
    },
    Statement {
        name: "currency_totals",
        promise: "all wallets of a currency hold what came from outside less what went there",
        is_of_all: true,
        faults: CURRENCY_TOTALS,
    },
];

const ACCOUNTS: &str = "SELECT e.account_org_id AS org_id, e.wallet_id AS subject, \
     CASE WHEN w.id IS NULL THEN format('%s line %s names it, and it does not exist', e.journal_id, e.line) \
     ELSE format('%s line %s is in %s, the wallet in %s', e.journal_id, e.line, e.currency, w.currency) END AS detail \
     FROM ledger_entries e LEFT JOIN wallets w ON w.org_id = e.account_org_id AND w.id = e.wallet_id \
     WHERE e.account <> 'external' AND ($1::text IS NULL OR e.account_org_id = $1) \
     AND (w.id IS NULL OR w.currency <> e.currency)";

// Only the entry that breaks the row is a fault, not all that follow it.
const RUNNING_BALANCES: &str = "SELECT account_org_id AS org_id, wallet_id AS subject, \
     format('%s line %s moves %s on account %s, from %s to %s', journal_id, line, amount_minor, account, before_minor, \
     balance_after_minor) AS detail FROM (SELECT e.*, coalesce(lag(e.balance_after_minor) OVER ( \
     PARTITION BY e.account_org_id, e.wallet_id, e.account ORDER BY e.seq), 0) AS before_minor FROM ledger_entries e \
     WHERE e.account <> 'external' AND ($1::text IS NULL OR e.account_org_id = $1)) AS steps \
     WHERE balance_after_minor::numeric <> before_minor::numeric + amount_minor";

const WALLET_BALANCES: &str = "WITH sums AS (SELECT account_org_id, wallet_id, \
     coalesce(sum(amount_minor) FILTER (WHERE account = 'wallet'), 0) AS available_minor, \
     coalesce(sum(amount_minor) FILTER (WHERE account = 'held'), 0) AS held_minor FROM ledger_entries \
     WHERE account <> 'external' AND ($1::text IS NULL OR account_org_id = $1) GROUP BY account_org_id, wallet_id) \
     SELECT w.org_id, w.id AS subject, format('it says %s available and %s held, its entries say %s and %s', \
     w.available_minor, w.held_minor, coalesce(s.available_minor, 0), coalesce(s.held_minor, 0)) AS detail \
     FROM wallets w LEFT JOIN sums s ON s.account_org_id = w.org_id AND s.wallet_id = w.id \
     WHERE ($1 IS NULL OR w.org_id = $1) AND (w.available_minor <> coalesce(s.available_minor, 0) \
     OR w.held_minor <> coalesce(s.held_minor, 0))";

const PAYMENT_JOURNALS: &str = "WITH had AS (SELECT org_id, transaction_id, string_agg(kind, ', ' ORDER BY kind) AS kinds \
     FROM ledger_journals WHERE transaction_id IS NOT NULL AND ($1::text IS NULL OR org_id = $1) \
     GROUP BY org_id, transaction_id), \
     due AS (SELECT t.org_id, t.id, t.status, CASE \
     WHEN t.status = 'settled' AND e.id IS NULL THEN 'payment' \
     WHEN t.status = 'settled' THEN 'escrow_hold, escrow_release' \
     WHEN t.status = 'refunded' THEN 'escrow_hold, escrow_refund' \
     WHEN t.status IN ('escrow_held', 'disputed') THEN 'escrow_hold' ELSE 'none' END AS kinds \
     FROM transactions t LEFT JOIN escrows e ON e.org_id = t.org_id AND e.transaction_id = t.id \
     WHERE $1 IS NULL OR t.org_id = $1) \
     SELECT coalesce(due.org_id, had.org_id) AS org_id, coalesce(due.id, had.transaction_id) AS subject, \
     format('it is %s, which takes journals %s; it has %s', coalesce(due.status, 'missing'), \
     coalesce(due.kinds, 'none'), coalesce(had.kinds, 'none')) AS detail \
     FROM due FULL JOIN had ON had.org_id = due.org_id AND had.transaction_id = due.id \
     WHERE coalesce(due.kinds, 'none') <> coalesce(had.kinds, 'none')";

const PAYMENT_MOVEMENTS: &str = "SELECT j.org_id, j.id AS subject, \
     format('the %s of %s does not move %s %s as it should', j.kind, t.id, t.currency, t.amount_minor) AS detail \
     FROM ledger_journals j JOIN transactions t ON t.org_id = j.org_id AND t.id = j.transaction_id \
     LEFT JOIN wallets p ON p.org_id = t.org_id AND p.agent_id = t.requesting_agent_id AND p.currency = t.currency \
     LEFT JOIN wallets r ON r.org_id = coalesce(t.counterparty_org_id, t.org_id) AND r.agent_id = t.counterparty_agent_id \
     AND r.currency = t.currency \
     CROSS JOIN LATERAL (SELECT CASE WHEN j.kind IN ('payment', 'escrow_hold') THEN 'wallet' ELSE 'held' END AS from_account, CASE \
     WHEN j.kind = 'escrow_hold' THEN 'held' WHEN j.kind = 'escrow_refund' OR t.counterparty_agent_id IS NOT NULL THEN 'wallet' \
     ELSE 'external' END AS to_account, j.kind IN ('escrow_hold', 'escrow_refund') AS stays) AS due \
     WHERE ($1::text IS NULL OR j.org_id = $1) AND (j.amount_minor <> t.amount_minor OR j.currency <> t.currency \
     OR j.from_account <> due.from_account OR j.from_wallet_id IS DISTINCT FROM p.id OR j.to_account <> due.to_account \
     OR j.to_org_id IS DISTINCT FROM CASE WHEN NOT due.stays THEN t.counterparty_org_id END \
     OR j.to_wallet_id IS DISTINCT FROM CASE WHEN due.stays THEN p.id ELSE r.id END)";

const POLICY_VERSIONS: &str = "SELECT t.org_id, t.id AS subject, format('it names version %s of a policy, which does not exist', \
     t.policy_version_id) AS detail FROM transactions t LEFT JOIN policy_versions v ON v.id = t.policy_version_id \
     WHERE ($1::text IS NULL OR t.org_id = $1) AND t.policy_version_id IS NOT NULL AND v.id IS NULL";

const ESCROW_STATES: &str = "SELECT t.org_id, t.id AS subject, CASE WHEN e.id IS NULL THEN \
     format('it is %s without an escrow', t.status) ELSE format('it is %s over %s %s, its escrow %s over %s %s', t.status, \
     t.currency, t.amount_minor, e.status, e.currency, e.amount_minor) END AS detail \
     FROM transactions t LEFT JOIN escrows e ON e.org_id = t.org_id AND e.transaction_id = t.id \
     WHERE ($1::text IS NULL OR t.org_id = $1) AND CASE \
     WHEN e.id IS NULL THEN t.status IN ('escrow_held', 'disputed', 'refunded') \
     ELSE e.amount_minor <> t.amount_minor OR e.currency <> t.currency OR t.status <> CASE e.status \
     WHEN 'held' THEN 'escrow_held' WHEN 'released' THEN 'settled' ELSE e.status END END";

const HELD_ESCROWS: &str = "WITH open AS (SELECT t.org_id, t.requesting_agent_id, e.currency, sum(e.amount_minor) AS minor \
     FROM escrows e JOIN transactions t ON t.org_id = e.org_id AND t.id = e.transaction_id \
     WHERE e.status IN ('held', 'disputed') AND ($1::text IS NULL OR e.org_id = $1) \
     GROUP BY t.org_id, t.requesting_agent_id, e.currency), \
     kept AS (SELECT org_id, id, agent_id, currency, held_minor FROM wallets WHERE $1 IS NULL OR org_id = $1) \
     SELECT coalesce(w.org_id, o.org_id) AS org_id, coalesce(w.id, o.requesting_agent_id) AS subject, \
     format('it says %s held, open escrows say %s', coalesce(w.held_minor, 0), coalesce(o.minor, 0)) AS detail \
     FROM kept w FULL JOIN open o ON o.org_id = w.org_id AND o.requesting_agent_id = w.agent_id AND o.currency = w.currency \
     WHERE coalesce(w.held_minor, 0) <> coalesce(o.minor, 0)";

const LIFETIME_TOTALS: &str = "WITH moved AS (SELECT org_id, agent_id, currency, sum(sent) AS sent, sum(received) AS received \
     FROM (SELECT org_id, requesting_agent_id AS agent_id, currency, amount_minor AS sent, 0 AS received FROM transactions \
     WHERE status = 'settled' UNION ALL \
     SELECT org_id, counterparty_agent_id, currency, 0, amount_minor FROM transactions \
     WHERE status = 'settled' AND counterparty_org_id IS NULL AND counterparty_agent_id IS NOT NULL UNION ALL \
     SELECT counterparty_org_id, counterparty_agent_id, currency, 0, amount_minor FROM transactions \
     WHERE status = 'settled' AND counterparty_org_id IS NOT NULL) AS sides \
     WHERE $1::text IS NULL OR org_id = $1 GROUP BY org_id, agent_id, currency) \
     SELECT w.org_id, w.id AS subject, format('it says %s sent and %s received, settled payments say %s and %s', \
     w.lifetime_sent_minor, w.lifetime_received_minor, coalesce(m.sent, 0), coalesce(m.received, 0)) AS detail \
     FROM wallets w LEFT JOIN moved m ON m.org_id = w.org_id AND m.agent_id = w.agent_id AND m.currency = w.currency \
     WHERE ($1 IS NULL OR w.org_id = $1) AND (w.lifetime_sent_minor <> coalesce(m.sent, 0) \
     OR w.lifetime_received_minor <> coalesce(m.received, 0))";

const ORGANIZATION_TOTALS: &str = "SELECT org_id, currency AS subject, \
     format('its wallets hold %s, what came in less what went out is %s', sum(kept), sum(came)) AS detail FROM ( \
     SELECT org_id, currency, available_minor::numeric + held_minor AS kept, 0::numeric AS came FROM wallets UNION ALL \
     SELECT account_org_id, currency, 0, -amount_minor::numeric FROM ledger_entries WHERE account = 'external' UNION ALL \
     SELECT org_id, currency, 0, -amount_minor::numeric FROM transactions \
     WHERE status = 'settled' AND counterparty_org_id IS NOT NULL UNION ALL \
     SELECT counterparty_org_id, currency, 0, amount_minor::numeric FROM transactions \
     WHERE status = 'settled' AND counterparty_org_id IS NOT NULL) AS flows \
     WHERE $1::text IS NULL OR org_id = $1 GROUP BY org_id, currency HAVING sum(kept) <> sum(came)";

const CURRENCY_TOTALS: &str = "SELECT NULL::text AS org_id, currency AS subject, \
     format('wallets hold %s, what came in less what went out is %s', sum(kept), sum(came)) AS detail FROM ( \
     SELECT currency, available_minor::numeric + held_minor AS kept, 0::numeric AS came FROM wallets UNION ALL \
     SELECT currency, 0, -amount_minor::numeric FROM ledger_entries WHERE account = 'external') AS flows \
     WHERE $1::text IS NULL GROUP BY currency HAVING sum(kept) <> sum(came)";

// The rolling windows are differences of these totals.
const RUNNING_TOTALS: &str = "SELECT org_id, id AS subject, \
     format('%s: %s of %s leads from %s to %s', status, amount_minor, requesting_agent_id, before_minor, spent_total_minor) AS detail \
     FROM (SELECT t.*, coalesce(lag(t.spent_total_minor) OVER (PARTITION BY t.org_id, t.requesting_agent_id, t.currency, \
     t.counted_at IS NULL ORDER BY t.counted_at, t.spent_total_minor), 0) AS before_minor FROM transactions t \
     WHERE $1::text IS NULL OR t.org_id = $1) AS steps \
     WHERE spent_total_minor <> before_minor + amount_minor OR (counted_at IS NOT NULL) <> \
     (status IN ('settled', 'authorized', 'executing', 'escrow_held', 'disputed', 'refunded'))";
