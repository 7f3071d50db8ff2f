//! A strict reader of OpenMetrics 1.0 text: whatever is not as the specification has it ends the test.

use std::collections::{BTreeMap, BTreeSet};

/// A whole page.
pub(crate) struct Page {
    /// The families with their types.
    pub(crate) families: BTreeMap<String, String>,
    /// Every sample by its name and labels, as they were written.
    samples: BTreeMap<String, f64>,
}

impl Page {
    pub(crate) fn read(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n");
        let body = body.expect("the page ends with '# EOF' and a line feed");
        let mut page = Self {
            families: BTreeMap::new(),
            samples: BTreeMap::new(),
        };
        let mut told = BTreeSet::new();
        let (mut family, mut kind) = (String::new(), String::new());
        for line in body.split_terminator('\n') {
            if let Some(meta) = line.strip_prefix("# ") {
                let (word, rest) = meta.split_once(' ').unwrap();
                let (name, text) = rest.split_once(' ').unwrap();
                assert!(is_name(name) && name.starts_with("offhook_"), "{line}");
                if word == "HELP" {
                    assert!(told.insert(name.to_owned()), "told twice: {line}");
                    assert!(text.ends_with('.') && !text.contains('\\'), "{line}");
                    name.clone_into(&mut family);
                }
                assert_eq!(name, family, "families are not mixed: {line}");
                match word {
                    "HELP" => {}
                    "TYPE" => {
                        assert!(["counter", "gauge", "histogram", "info"].contains(&text));
                        text.clone_into(&mut kind);
                        page.families.insert(name.to_owned(), text.to_owned());
                    }
                    "UNIT" => assert!(name.ends_with(&format!("_{text}")), "{line}"),
                    _ => panic!("no such word: {line}"),
                }
                continue;
            }
            page.sample(line, &family, &kind);
        }
        page.check_histograms();
        page
    }

    fn sample(&mut self, line: &str, family: &str, kind: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let suffix = name
            .strip_prefix(family)
            .unwrap_or_else(|| panic!("{line}"));
        let fits = match kind {
            "counter" => suffix == "_total",
            "gauge" => suffix.is_empty(),
            "histogram" => ["_sum", "_count", "_bucket"].contains(&suffix),
            _ => suffix == "_info",
        };
        assert!(fits, "{suffix} is no suffix of a {kind}: {line}");
        if let Some(labels) = series
            .strip_prefix(name)
            .filter(|labels| !labels.is_empty())
        {
            let labels = labels.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
            let mut names = BTreeSet::new();
            for label in labels.split(',') {
                let (name, value) = label.split_once('=').unwrap();
                assert!(is_name(name) && names.insert(name), "{line}");
                let value = value.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
                assert!(!value.is_empty() && !value.contains(['"', '\\']), "{line}");
            }
        }
        let value: f64 = value.parse().unwrap();
        assert!(value >= 0.0 && value.is_finite(), "{line}");
        let before = self.samples.insert(series.to_owned(), value);
        assert!(before.is_none(), "twice: {line}");
    }

    /// Buckets never get smaller, and the last is the count.
    fn check_histograms(&self) {
        let histograms = self
            .families
            .iter()
            .filter(|(_, kind)| *kind == "histogram");
        for (family, _) in histograms {
            let count = format!("{family}_count");
            let counts = self
                .samples
                .iter()
                .filter(|(series, _)| series.starts_with(&count));
            for (series, count) in counts {
                let labels = series.split(['{', '}']).nth(1).unwrap();
                let prefix = format!("{family}_bucket{{");
                let buckets = self
                    .samples
                    .iter()
                    .filter(|(series, _)| series.starts_with(&prefix) && series.contains(labels));
                let mut buckets: Vec<(f64, f64)> = buckets
                    .map(|(series, value)| {
                        let bound = series.split("le=\"").nth(1).unwrap();
                        let bound = bound.split('"').next().unwrap().replace("+Inf", "inf");
                        (bound.parse().unwrap(), *value)
                    })
                    .collect();
                buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
                assert!(
                    buckets.is_sorted_by(|one, other| one.1 <= other.1),
                    "{series}"
                );
                assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{series}");
            }
        }
    }

    /// What a series says: `offhook_calls{state="ringing"}`; 0 where it is not there.
    pub(crate) fn of(&self, series: &str) -> f64 {
        let family = series.split('{').next().unwrap();
        let known = |family: &str| self.families.contains_key(family);
        let suffixes = ["_total", "_count", "_info", "_bucket", "_sum"];
        let mut bare = suffixes
            .iter()
            .filter_map(|suffix| family.strip_suffix(suffix));
        assert!(
            known(family) || bare.any(known),
            "there is no family {family}"
        );
        self.samples.get(series).copied().unwrap_or_default()
    }
}

fn is_name(text: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_lowercase();
    text.bytes().next().is_some_and(is_first)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[test]
fn what_is_no_open_metrics_is_refused() {
    let good = "# HELP offhook_x Xs.\n# TYPE offhook_x counter\noffhook_x_total 1\n# EOF\n";
    assert_eq!(Page::read(good).of("offhook_x_total"), 1.0);
    for (right, wrong) in [
        ("# EOF\n", ""),
        ("_total 1", " 1"),
        (" 1", " -1"),
        (" 1", " one"),
        ("_total 1", "_total{a=b} 1"),
        ("_total 1", "_total{a=\"b\",a=\"c\"} 1"),
        ("_total 1\n", "_total 1\noffhook_x_total 2\n"),
        ("counter", "clock"),
        ("# TYPE offhook_x", "# TYPE offhook_y"),
    ] {
        let page = good.replacen(right, wrong, 1);
        let read = std::panic::catch_unwind(|| Page::read(&page).families.len());
        assert!(read.is_err(), "{page}");
    }
}
