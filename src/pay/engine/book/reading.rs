//! Reading what payments are decided on.

use std::{collections::BTreeSet, time::Instant};

use futures_util::try_join;

use crate::{
    db::Conn,
    error::Result,
    pay::{
        compliance::{self, Check},
        decision, policies,
        request::Payment,
        wallets::{self, WalletKey},
        windows,
    },
};

use super::{Book, Counts, Read};

/// What is read of the payments.
struct Keys<'k> {
    wallets: Vec<WalletKey>,
    /// Payers by currency.
    payers: Vec<(&'k str, &'k str)>,
    /// Agents whose policies decide, with their organisations.
    agents: Vec<(&'k str, &'k str)>,
    /// Organisations that are paid.
    others: Vec<&'k str>,
}

impl<'k> Keys<'k> {
    /// Each once, and in a fixed order.
    fn of(org_id: &'k str, payments: &[&'k Payment]) -> Self {
        let (mut wallet_keys, mut payers) = (BTreeSet::new(), BTreeSet::new());
        let (mut agents, mut others) = (BTreeSet::new(), BTreeSet::new());
        for payment in payments {
            let currency = payment.currency.as_str();
            wallet_keys.insert(wallets::key(org_id, &payment.agent_id, currency));
            payers.insert((payment.agent_id.as_str(), currency));
            agents.insert((org_id, payment.agent_id.as_str()));
            let Some(payee) = &payment.payee else {
                continue;
            };
            let payee_org_id = payee.org_id(org_id);
            wallet_keys.insert(wallets::key(payee_org_id, &payee.agent_id, currency));
            if let Some(other) = payee.other_org_id.as_deref() {
                agents.insert((other, payee.agent_id.as_str()));
                others.insert(other);
            }
        }
        Self {
            wallets: Vec::from_iter(wallet_keys),
            payers: Vec::from_iter(payers),
            agents: Vec::from_iter(agents),
            others: Vec::from_iter(others),
        }
    }
}

impl Book<'_> {
    /// Locks and reads in one trip to the database. Only statements that begin after the wallets were locked see what others
    /// committed before: the windows say whether theirs did, and are read again if not. That is so when no wallet exists
    /// yet, or when statements were not sent in their order, because the connection knew only some of them.
    pub(super) async fn read_all(&mut self, conn: &Conn, read: Read) -> Result<()> {
        let keys = Keys::of(self.org_id, &self.payments);
        let starts = decision::window_starts(self.now);
        let past = async || match read {
            Read::Locked => windows::lock(conn, self.org_id, &keys.payers, starts).await,
            Read::Preview => windows::preview(conn, self.org_id, &keys.payers, starts).await,
        };
        let find_wallets = async {
            match read {
                Read::Locked => wallets::lock(conn, &keys.wallets).await,
                Read::Preview => wallets::find_all(conn, &keys.wallets).await,
            }
        };
        let found;
        (self.wallets, self.organizations, found) = try_join!(
            find_wallets,
            policies::existing_organizations(conn, &keys.others),
            past(),
        )?;
        let found = match found.is_after_lock || read == Read::Preview {
            true => found,
            false => past().await?,
        };
        let own_name = found.org_name.map(|name| (self.org_id.to_owned(), name));
        self.organizations.extend(own_name);
        (self.spent, self.head, self.generation) = (found.spent, found.head, found.generation);
        let remembered = &self.sources.policies;
        self.policies = remembered
            .in_force(conn, &keys.agents, found.generation)
            .await?;
        Ok(())
    }

    /// What the prechecks count of the past; which of them are made is said by the policies.
    pub(super) async fn count_earlier(&mut self, conn: &Conn) -> Result<()> {
        let checks: Vec<Option<Check<'_>>> = self
            .payments
            .iter()
            .map(|payment| {
                Check::new(
                    &self.sources.rules,
                    self.policy_of(payment),
                    self.subject(payment),
                )
            })
            .collect();
        let bands: Vec<_> = checks
            .iter()
            .flatten()
            .flat_map(|check| check.bands.iter().map(|band| (&check.subject, band)))
            .collect();
        if bands.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let counted = compliance::count_earlier(conn, self.org_id, &bands, self.now).await?;
        let mut counted = counted.into_iter();
        let mut counts = Counts {
            took: started.elapsed(),
            ..Counts::default()
        };
        for (place, check) in checks.iter().enumerate() {
            if let Some(check) = check {
                let own = counted.by_ref().take(check.bands.len()).collect();
                counts.of.insert(place, own);
            }
        }
        self.counts = counts;
        Ok(())
    }
}
