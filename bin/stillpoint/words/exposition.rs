//! Prometheus's text format: how metrics are written down for a scraper or its textfile collector.
//!
//! All samples of a metric stand together behind its HELP and TYPE, so they are collected by metric
//! first, whatever the order in which they come. Samples have no time of their own, as the textfile
//! collector wants it.

use std::fmt::Write;
use std::time::Duration;

use super::metric::{Kind, Metric};

/// Metrics, in the order in which they were first named.
#[derive(Default)]
pub struct Exposition {
    families: Vec<Family>,
}

struct Family {
    metric: &'static Metric,
    samples: String,
}

impl Exposition {
    /// A sample of a gauge or a counter.
    pub fn add(&mut self, metric: &'static Metric, labels: &[(&str, &str)], value: f64) {
        debug_assert!(metric.kind != Kind::Histogram);
        self.family(metric).sample("", labels, value);
    }

    /// Classes with their upper bounds, the last without one, and the sum in seconds.
    pub fn histogram(
        &mut self,
        metric: &'static Metric,
        labels: &[(&str, &str)],
        classes: &[(Option<Duration>, u32)],
        sum: Duration,
    ) {
        debug_assert!(metric.kind == Kind::Histogram);
        let family = self.family(metric);
        let mut so_far = 0_u64;
        for (bound, count) in classes {
            so_far += u64::from(*count);
            let bound = bound.map_or("+Inf".to_string(), |bound| bound.as_secs_f64().to_string());
            let with_bound = [labels, &[("le", bound.as_str())]].concat();
            family.sample("_bucket", &with_bound, so_far as f64);
        }
        family.sample("_sum", labels, sum.as_secs_f64());
        family.sample("_count", labels, so_far as f64);
    }

    fn family(&mut self, metric: &'static Metric) -> &mut Family {
        let found = self.families.iter().position(|family| family.metric.name == metric.name);
        let index = found.unwrap_or_else(|| {
            self.families.push(Family { metric, samples: String::new() });
            self.families.len() - 1
        });
        &mut self.families[index]
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for Family { metric: Metric { name, kind, help }, samples } in &self.families {
            let kind = kind.name();
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}");
        }
        text
    }
}

impl Family {
    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        // One without a value is none.
        let labels: Vec<String> = labels
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        let _ = writeln!(self.samples, "{}{suffix}{labels} {value}", self.metric.name);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_with_their_metric_and_labels_are_escaped() {
        static X: Metric = Metric { name: "x", kind: Kind::Gauge, help: "An x." };
        static Y: Metric = Metric { name: "y_total", kind: Kind::Counter, help: "All y." };
        let mut exposition = Exposition::default();
        for name in ["a", "b\"\\\n"] {
            exposition.add(&X, &[("name", name)], 1.5);
            exposition.add(&Y, &[], 7.0);
        }
        let expected = "# HELP x An x.\n# TYPE x gauge\nx{name=\"a\"} 1.5\nx{name=\"b\\\"\\\\\\n\"} 1.5\n\
            # HELP y_total All y.\n# TYPE y_total counter\ny_total 7\ny_total 7\n";
        assert_eq!(exposition.text(), expected);
    }

    #[test]
    fn classes_of_a_histogram_hold_those_before_them() {
        static P: Metric = Metric { name: "p_seconds", kind: Kind::Histogram, help: "P." };
        let mut exposition = Exposition::default();
        let classes =
            [(Some(Duration::from_millis(250)), 2), (Some(Duration::from_secs(1)), 0), (None, 1)];
        exposition.histogram(&P, &[("l", "v")], &classes, Duration::from_millis(2500));
        let expected = "# HELP p_seconds P.\n# TYPE p_seconds histogram\n\
            p_seconds_bucket{l=\"v\",le=\"0.25\"} 2\np_seconds_bucket{l=\"v\",le=\"1\"} 2\n\
            p_seconds_bucket{l=\"v\",le=\"+Inf\"} 3\np_seconds_sum{l=\"v\"} 2.5\np_seconds_count{l=\"v\"} 3\n";
        assert_eq!(exposition.text(), expected);
    }
}
