//! What payments are decided on, read at once, and what they leave, written at once.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    db::{Conn, write::Write},
    error::{Error, Result},
    ids,
    pay::{
        compliance::{Check, Prediction, RuleBook, Subject},
        decision::{self, Counterparty, Facts, PolicySnapshot, Verdict},
        escrow::EscrowRow,
        ledger::{self, Posting, chain::Head},
        policies::Remembered,
        record::Outcome,
        request::Payment,
        settlement::{self, Locked, Step},
        wallets::{self, WalletKey, WalletRow},
        windows::Spent,
    },
};

mod reading;

/// Whether what is read is to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pay) enum Read {
    /// The wallets stay locked until the transaction ends.
    Locked,
    /// Nothing will be written.
    Preview,
}

/// What payments are decided by.
#[derive(Clone)]
pub(in crate::pay) struct Sources {
    /// Compliance rules.
    pub(in crate::pay) rules: Arc<RuleBook>,
    /// Policies in force.
    pub(in crate::pay) policies: Arc<Remembered>,
}

/// The facts for payments of one organisation, kept up as they are decided one after the other.
pub(in crate::pay) struct Book<'a> {
    sources: &'a Sources,
    org_id: &'a str,
    payments: Vec<&'a Payment>,
    now: DateTime<Utc>,
    policies: HashMap<(String, String), Arc<PolicySnapshot>>,
    /// What the payer's and those that are paid are called.
    organizations: HashMap<String, String>,
    wallets: HashMap<WalletKey, WalletRow>,
    spent: HashMap<(String, String), Spent>,
    counts: Counts,
    /// The payments that were approved here, by their place.
    approved: Vec<usize>,
    opened: BTreeSet<WalletKey>,
    changed: BTreeSet<WalletKey>,
    postings: Vec<Posting>,
    /// The end of the ledger's chain, when it is locked.
    head: Option<Head>,
    /// What is remembered of it is true.
    generation: Uuid,
}

/// What the compliance prechecks have to know of the past, by the place of the payment.
#[derive(Default)]
struct Counts {
    of: HashMap<usize, Vec<i64>>,
    took: Duration,
}

impl<'a> Book<'a> {
    /// Reads everything that deciding these payments takes.
    pub(in crate::pay) async fn read(
        conn: &Conn,
        sources: &'a Sources,
        org_id: &'a str,
        payments: Vec<&'a Payment>,
        read: Read,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let mut book = Self {
            sources,
            org_id,
            payments,
            now,
            policies: HashMap::new(),
            organizations: HashMap::new(),
            wallets: HashMap::new(),
            spent: HashMap::new(),
            counts: Counts::default(),
            approved: Vec::new(),
            opened: BTreeSet::new(),
            changed: BTreeSet::new(),
            postings: Vec::new(),
            head: None,
            generation: Uuid::nil(),
        };
        book.read_all(conn, read).await?;
        book.count_earlier(conn).await?;
        Ok(book)
    }

    /// What is remembered of it is true, see [`crate::db::generation`].
    pub(in crate::pay) fn generation(&self) -> Uuid {
        self.generation
    }

    fn policy_of(&self, payment: &Payment) -> Option<&PolicySnapshot> {
        let key = (self.org_id.to_owned(), payment.agent_id.clone());
        self.policies.get(&key).map(Arc::as_ref)
    }

    fn payer_key(&self, payment: &Payment) -> WalletKey {
        wallets::key(self.org_id, &payment.agent_id, &payment.currency)
    }

    fn payee_key(&self, payment: &Payment) -> Option<WalletKey> {
        let payee = payment.payee.as_ref()?;
        let org_id = payee.org_id(self.org_id);
        Some(wallets::key(org_id, &payee.agent_id, &payment.currency))
    }

    /// Decides the payment at `place`, and moves its money in the book when it is approved. `approved` is the id of a
    /// transaction that a human approved.
    ///
    /// # Errors
    /// 404 when it goes to an organisation that does not exist, 400 when its escrow cannot be or a balance would grow too
    /// large. The book is as before then.
    pub(in crate::pay) fn decide(
        &mut self,
        place: usize,
        approved: Option<&str>,
        started: Instant,
    ) -> Result<Outcome<'a>> {
        let payment = *self.payments.get(place).ok_or_else(no_payment)?;
        if let (Some(terms), None) = (&payment.escrow, approved) {
            terms.check(self.now)?;
        }
        self.require_payee_organization(payment)?;
        let prediction = self.predict(place, payment);
        let verdict = self.judge(payment, prediction.as_ref(), approved.is_some());
        let transaction_id = approved.map_or_else(|| ids::short("txn", 12), str::to_owned);
        let policy = self
            .policies
            .get(&(self.org_id.to_owned(), payment.agent_id.clone()));
        let mut outcome = Outcome {
            org_id: self.org_id,
            transaction_id,
            payment,
            policy: policy.cloned(),
            verdict,
            prediction,
            escrow: None,
            counted: None,
            started,
            now: self.now,
        };
        if outcome.verdict == Verdict::Approved {
            self.commit(place, &mut outcome)?;
        }
        Ok(outcome)
    }

    /// 404 when the payment goes to an organisation that does not exist.
    fn require_payee_organization(&self, payment: &Payment) -> Result<()> {
        let payee = payment.payee.as_ref();
        match payee.and_then(|payee| payee.other_org_id.as_deref()) {
            Some(other) if !self.organizations.contains_key(other) => Err(Error::not_found(
                "ORGANIZATION_NOT_FOUND",
                format!("There is no organization {other}"),
            )),
            _ => Ok(()),
        }
    }

    /// What the rules look at, the names of both organisations included.
    fn subject<'s>(&'s self, payment: &'s Payment) -> Subject<'s> {
        let name = |org_id: &str| self.organizations.get(org_id).map(String::as_str);
        let subject = Subject::from(payment);
        Subject {
            payer_org_name: name(self.org_id),
            payee_org_name: subject.payee_org_id.and_then(name),
            ..subject
        }
    }

    fn predict(&self, place: usize, payment: &Payment) -> Option<Prediction> {
        let subject = self.subject(payment);
        let check = Check::new(&self.sources.rules, self.policy_of(payment), subject)?;
        let earlier = self.counts.of.get(&place).map_or(&[][..], Vec::as_slice);
        // Those of the database, and those approved in this group.
        let counts: Vec<i64> = check
            .bands
            .iter()
            .zip(earlier)
            .map(|(band, earlier)| {
                let here = self.approved.iter().filter(|place| {
                    self.payments.get(**place).is_some_and(|other| {
                        other.agent_id == payment.agent_id
                            && other.currency == payment.currency
                            && (band.from_minor..band.below_minor).contains(&other.amount_minor)
                    })
                });
                here.fold(*earlier, |count, _| count.saturating_add(1))
            })
            .collect();
        Some(check.predict(&self.sources.rules, &counts, self.counts.took))
    }

    fn judge(
        &self,
        payment: &Payment,
        prediction: Option<&Prediction>,
        is_human_approved: bool,
    ) -> Verdict {
        let key = (payment.agent_id.clone(), payment.currency.clone());
        let spent = self.spent.get(&key).copied().unwrap_or_default();
        let payee_wallet = self
            .payee_key(payment)
            .and_then(|key| self.wallets.get(&key));
        let receiver_policy = payment.payee.as_ref().and_then(|payee| {
            let key = (payee.other_org_id.clone()?, payee.agent_id.clone());
            self.policies.get(&key).map(Arc::as_ref)
        });
        let payer_wallet = self.wallets.get(&self.payer_key(payment));
        let terms = payment.escrow.as_ref();
        decision::decide(&Facts {
            policy: self.policy_of(payment),
            payer_agent_id: &payment.agent_id,
            amount_minor: payment.amount_minor,
            currency: &payment.currency,
            daily_sum_minor: spent.daily_minor,
            monthly_sum_minor: spent.monthly_minor,
            counterparty: payment.payee.as_ref().map(|payee| Counterparty {
                agent_id: &payee.agent_id,
                receiver_policy,
                is_closed: payee_wallet.is_some_and(|wallet| !wallet.is_active),
            }),
            category: payment.category.as_deref(),
            available_minor: payer_wallet
                .filter(|wallet| wallet.is_active)
                .map(|wallet| wallet.available_minor),
            compliance: prediction.map(|made| made.assessment.verdict()),
            is_human_approved,
            is_escrow_over: terms.is_some_and(|terms| terms.ends_at(self.now) <= self.now),
        })
    }

    /// Moves the money of an approved payment in the book: to the payee, whose wallet is opened by the first money it
    /// gets, or into escrow.
    fn commit(&mut self, place: usize, outcome: &mut Outcome<'a>) -> Result<()> {
        let (payment, now) = (outcome.payment, self.now);
        let step = match payment.escrow {
            Some(_) => Step::Hold,
            None => Step::Settle,
        };
        let payer_key = self.payer_key(payment);
        let payee_key = self.payee_key(payment).filter(|_| step.pays());
        let payer = self.wallets.get(&payer_key).cloned();
        let opened = payee_key
            .as_ref()
            .filter(|key| !self.wallets.contains_key(*key));
        let payee = payee_key.as_ref().map(|key| {
            let known = self.wallets.get(key).cloned();
            known.unwrap_or_else(|| WalletRow::empty(&key.0, &key.1, &key.2, now))
        });
        let mut locked = Locked {
            payer: payer.ok_or_else(no_payment)?,
            payee,
        };
        let of = (self.org_id, outcome.transaction_id.as_str());
        let posting = settlement::shift(step, of, payment, &mut locked, now)?;
        self.postings.push(posting);
        self.opened.extend(opened.cloned());
        let payee = payee_key.zip(locked.payee);
        for (key, wallet) in [Some((payer_key, locked.payer)), payee]
            .into_iter()
            .flatten()
        {
            self.changed.insert(key.clone());
            self.wallets.insert(key, wallet);
        }
        self.approved.push(place);
        let key = (payment.agent_id.clone(), payment.currency.clone());
        outcome.counted = Some(
            self.spent
                .entry(key)
                .or_default()
                .add(payment.amount_minor, now),
        );
        outcome.escrow = payment
            .escrow
            .as_ref()
            .map(|terms| EscrowRow::new(self.org_id, &outcome.transaction_id, payment, terms, now));
        Ok(())
    }

    /// Wallets and ledger as they are now, to be written; [`wallets::conflict`] reads what becomes of it.
    pub(in crate::pay) fn writes(&self) -> Result<Vec<Write<'_>>> {
        if self.postings.is_empty() {
            return Ok(Vec::new());
        }
        let head = self.head.clone().ok_or_else(no_payment)?;
        // Those that are opened are opened with what they hold.
        let known = |key: &&WalletKey| !self.opened.contains(*key);
        let opened = wallets::insert_all(self.rows(self.opened.iter()));
        let changed = wallets::store(self.rows(self.changed.iter().filter(known)));
        let extended = ledger::extend(self.org_id, head, &self.postings, self.now);
        Ok(opened
            .into_iter()
            .chain(changed)
            .chain([extended])
            .collect())
    }

    fn rows<'k>(&self, keys: impl Iterator<Item = &'k WalletKey>) -> Vec<&WalletRow> {
        keys.filter_map(|key| self.wallets.get(key)).collect()
    }
}

fn no_payment() -> Error {
    Error::internal(anyhow::anyhow!("a payment was decided without its facts"))
}
