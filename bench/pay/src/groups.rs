//! How many payments the server writes together, by its own count.

use anyhow::Result;

use crate::site::Site;

/// What was written up to an instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Groups {
    groups: f64,
    payments: f64,
    waited_seconds: f64,
}

impl Groups {
    /// Up to now.
    pub(crate) async fn read(site: &Site) -> Result<Self> {
        let metrics = site.metrics().await?;
        Ok(Self {
            groups: of_payments(&metrics, "pulpo_group_size_count"),
            payments: of_payments(&metrics, "pulpo_group_size_sum"),
            waited_seconds: of_payments(&metrics, "pulpo_group_wait_seconds_sum"),
        })
    }

    /// The mean size of the groups written since.
    pub(crate) fn mean_since(self, before: Self) -> f64 {
        (self.payments - before.payments) / (self.groups - before.groups)
    }

    /// How long the payments written since waited for their groups, mean, in milliseconds.
    pub(crate) fn wait_ms_since(self, before: Self) -> f64 {
        1000.0 * (self.waited_seconds - before.waited_seconds) / (self.payments - before.payments)
    }
}

/// A metric of the groups of payments.
fn of_payments(metrics: &str, name: &str) -> f64 {
    let labelled = format!("{name}{{work=\"payments\"}} ");
    let values = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(labelled.as_str())?.parse::<f64>().ok());
    values.sum()
}

#[cfg(test)]
mod tests {
    use super::of_payments;

    #[test]
    fn a_metric_is_that_of_payments() {
        let metrics = "# TYPE size summary\nsize{work=\"payments\",quantile=\"0.5\"} 3\nsize_sum{work=\"payments\"} 5\nsize_sum{work=\"keys\"} 2.5\n";
        assert!((of_payments(metrics, "size_sum") - 5.0).abs() < f64::EPSILON);
    }
}
