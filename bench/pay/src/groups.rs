//! How many payments the server writes together, by its own count.

use anyhow::Result;

use crate::site::Site;

/// What was written up to an instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Groups {
    groups: f64,
    payments: f64,
}

impl Groups {
    /// Up to now.
    pub(crate) async fn read(site: &Site) -> Result<Self> {
        let metrics = site.metrics().await?;
        Ok(Self {
            groups: sum(&metrics, "pulpo_group_size_count"),
            payments: sum(&metrics, "pulpo_group_size_sum"),
        })
    }

    /// The mean size of the groups written since.
    pub(crate) fn mean_since(self, before: Self) -> f64 {
        (self.payments - before.payments) / (self.groups - before.groups)
    }
}

/// A metric, whatever its labels.
fn sum(metrics: &str, name: &str) -> f64 {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(name));
    let values = lines.filter(|rest| rest.starts_with(['{', ' ']));
    values
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let metrics = "# TYPE size summary\nsize{work=\"a\",quantile=\"0.5\"} 3\nsize_sum{work=\"a\"} 5\nsize_sum{work=\"b\"} 2.5\nsize_summary 9\n";
        assert!((sum(metrics, "size_sum") - 7.5).abs() < f64::EPSILON);
    }
}
