//! When an endpoint is disabled: a pure rule over the attempts, in the order of their ends.

/// How an attempt ended, for the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With 2xx.
    Well,
    /// Otherwise, for this reason.
    Badly(String),
    /// With 410: the endpoint wants no more.
    Gone,
}

/// The state of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Attempts that failed since the last one that succeeded.
    pub(super) failure_count: u32,
    pub(super) last_error: Option<String>,
    pub(super) is_disabled: bool,
}

impl Tally {
    /// The state after these attempts. Once disabled it stays so, whatever ends afterwards.
    pub(super) fn after<'a>(
        mut self,
        attempts: impl IntoIterator<Item = &'a Ended>,
        failures_max: u32,
    ) -> Self {
        for ended in attempts {
            if self.is_disabled {
                break;
            }
            match ended {
                Ended::Well => self = Self::default(),
                Ended::Badly(error) => {
                    self.failure_count += 1;
                    self.last_error = Some(error.clone());
                    self.is_disabled = self.failure_count >= failures_max;
                }
                Ended::Gone => {
                    self.failure_count += 1;
                    self.last_error = Some("410 Gone".to_owned());
                    self.is_disabled = true;
                }
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(failure_count: u32, attempts: &str) -> (u32, bool) {
        let attempts: Vec<Ended> = attempts
            .chars()
            .map(|c| match c {
                '+' => Ended::Well,
                '-' => Ended::Badly("500".to_owned()),
                _ => Ended::Gone,
            })
            .collect();
        let tally = Tally {
            failure_count,
            ..Tally::default()
        };
        let tally = tally.after(&attempts, 10);
        assert_eq!(
            tally.last_error.is_some(),
            !attempts.is_empty() && tally.failure_count > 0
        );
        (tally.failure_count, tally.is_disabled)
    }

    #[test]
    fn ten_failures_in_a_row_disable() {
        assert_eq!(after(0, "+"), (0, false));
        assert_eq!(after(0, "---------"), (9, false));
        assert_eq!(after(9, "-"), (10, true));
        assert_eq!(after(0, "----------"), (10, true));
        assert_eq!(after(0, "---------+---------"), (9, false));
        // What comes back later does not undo it.
        assert_eq!(after(9, "-+"), (10, true));
        assert_eq!(after(0, "g+"), (1, true));
        assert_eq!(after(3, "+g"), (1, true));
    }
}
