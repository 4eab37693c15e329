//! Windows that roll along with the payments that pass.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, Utc};

/// A rolling window: its payments, by the instants at which they count, and their sum.
#[derive(Debug, Default)]
pub(super) struct Window {
    payments: VecDeque<(DateTime<Utc>, i64)>,
    sum_minor: i128,
}

impl Window {
    /// Counts a payment, no earlier than those before it.
    pub(super) fn push(&mut self, at: DateTime<Utc>, amount_minor: i64) {
        self.payments.push_back((at, amount_minor));
        self.sum_minor += i128::from(amount_minor);
    }

    /// Takes off a payment that was counted then, if it still holds it.
    pub(super) fn take_back(&mut self, at: DateTime<Utc>, amount_minor: i64) {
        let first = self.payments.partition_point(|(when, _)| *when < at);
        let mut same = self
            .payments
            .range_mut(first..)
            .take_while(|(when, _)| *when == at);
        // Which of equal ones is the same. Its place stays, worth nothing, until the window has rolled past it.
        if let Some((_, amount)) = same.find(|(_, amount)| *amount == amount_minor) {
            *amount = 0;
            self.sum_minor -= i128::from(amount_minor);
        }
    }

    /// What it holds after `start`.
    pub(super) fn sum_after(&mut self, start: DateTime<Utc>) -> i64 {
        while let Some((at, amount_minor)) = self.payments.front().copied()
            && at <= start
        {
            self.payments.pop_front();
            self.sum_minor -= i128::from(amount_minor);
        }
        i64::try_from(self.sum_minor).unwrap_or(i64::MAX)
    }

    /// How many it was given after `start`.
    pub(super) fn count_after(&mut self, start: DateTime<Utc>) -> i64 {
        self.sum_after(start);
        i64::try_from(self.payments.len()).unwrap_or(i64::MAX)
    }
}

/// The windows of an agent in a currency.
#[derive(Debug, Default)]
pub(super) struct Agent {
    pub(super) day: Window,
    pub(super) month: Window,
    /// Those that a rule counts, by the place of the rule. What came back was a payment, and stays in them.
    pub(super) bands: HashMap<usize, Window>,
}
