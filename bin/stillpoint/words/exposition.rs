//! Prometheus's text format: how metrics are written down for a scraper or its textfile collector.
//!
//! All samples of a metric stand together behind its HELP and TYPE, so they are collected by metric
//! first, whatever the order in which they come. Samples have no time of their own, as the textfile
//! collector wants it.

use std::fmt::Write;
use std::time::Duration;

/// Metrics, in the order in which they were first named.
#[derive(Default)]
pub struct Exposition {
    families: Vec<Family>,
}

struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: String,
}

impl Exposition {
    pub fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        self.family(name, "gauge", help).sample("", labels, value);
    }

    pub fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: u32,
    ) {
        self.family(name, "counter", help).sample("", labels, value.into());
    }

    /// Classes with their upper bounds, the last without one, and the sum in seconds.
    pub fn histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        classes: &[(Option<Duration>, u32)],
        sum: Duration,
    ) {
        let family = self.family(name, "histogram", help);
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

    fn family(
        &mut self,
        name: &'static str,
        kind: &'static str,
        help: &'static str,
    ) -> &mut Family {
        let found = self.families.iter().position(|family| family.name == name);
        let index = found.unwrap_or_else(|| {
            self.families.push(Family { name, kind, help, samples: String::new() });
            self.families.len() - 1
        });
        &mut self.families[index]
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for Family { name, kind, help, samples } in &self.families {
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
        let _ = writeln!(self.samples, "{}{suffix}{labels} {value}", self.name);
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
        let mut exposition = Exposition::default();
        for name in ["a", "b\"\\\n"] {
            exposition.gauge("x", "An x.", &[("name", name)], 1.5);
            exposition.counter("y_total", "All y.", &[], 7);
        }
        let expected = "# HELP x An x.\n# TYPE x gauge\nx{name=\"a\"} 1.5\nx{name=\"b\\\"\\\\\\n\"} 1.5\n\
            # HELP y_total All y.\n# TYPE y_total counter\ny_total 7\ny_total 7\n";
        assert_eq!(exposition.text(), expected);
    }

    #[test]
    fn classes_of_a_histogram_hold_those_before_them() {
        let mut exposition = Exposition::default();
        let classes =
            [(Some(Duration::from_millis(250)), 2), (Some(Duration::from_secs(1)), 0), (None, 1)];
        exposition.histogram(
            "p_seconds",
            "P.",
            &[("l", "v")],
            &classes,
            Duration::from_millis(2500),
        );
        let expected = "# HELP p_seconds P.\n# TYPE p_seconds histogram\n\
            p_seconds_bucket{l=\"v\",le=\"0.25\"} 2\np_seconds_bucket{l=\"v\",le=\"1\"} 2\n\
            p_seconds_bucket{l=\"v\",le=\"+Inf\"} 3\np_seconds_sum{l=\"v\"} 2.5\np_seconds_count{l=\"v\"} 3\n";
        assert_eq!(exposition.text(), expected);
    }
}
