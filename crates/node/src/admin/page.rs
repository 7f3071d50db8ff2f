//! Writes families of figures into the page that `prometheus-client` makes. Nothing here knows what they mean.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::meter::Histogram;

/// What a family is called, and what it tells.
#[derive(Clone, Copy)]
pub(super) struct Family {
    /// Without `offhook_`, the unit and `_total`, which are added.
    pub(super) name: &'static str,
    pub(super) unit: Option<&'static Unit>,
    pub(super) help: &'static str,
}

/// A family without a unit.
pub(super) const fn family(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        unit: None,
        help,
    }
}

/// A family of seconds.
pub(super) const fn seconds(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        unit: Some(&Unit::Seconds),
        help,
    }
}

/// A family of bytes.
pub(super) const fn bytes(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        unit: Some(&Unit::Bytes),
        help,
    }
}

/// Where they are written.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    fn open(&mut self, family: Family, kind: MetricType) -> Result<MetricEncoder<'_>, fmt::Error> {
        let help = family.help.trim();
        self.0
            .encode_descriptor(family.name, help, family.unit, kind)
    }

    pub(super) fn gauge(&mut self, family: Family, value: f64) -> fmt::Result {
        self.open(family, MetricType::Gauge)?.encode_gauge(&value)
    }

    pub(super) fn counter(&mut self, family: Family, value: u64) -> fmt::Result {
        let mut encoder = self.open(family, MetricType::Counter)?;
        encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    /// One gauge for each of these labels.
    pub(super) fn gauges<L: EncodeLabelSet>(
        &mut self,
        family: Family,
        values: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut encoder = self.open(family, MetricType::Gauge)?;
        for (labels, value) in values {
            encoder.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// One counter for each of these labels.
    pub(super) fn counters<L: EncodeLabelSet>(
        &mut self,
        family: Family,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut encoder = self.open(family, MetricType::Counter)?;
        for (labels, value) in values {
            let mut encoder = encoder.encode_family(&labels)?;
            encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    /// One histogram for each of these labels.
    pub(super) fn histograms<'h, L: EncodeLabelSet>(
        &mut self,
        family: Family,
        values: impl IntoIterator<Item = (L, &'h Histogram)>,
    ) -> fmt::Result {
        let mut encoder = self.open(family, MetricType::Histogram)?;
        for (labels, histogram) in values {
            let picture = histogram.picture();
            encoder
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(
                    picture.sum_s,
                    picture.count,
                    &picture.buckets,
                    None,
                )?;
        }
        Ok(())
    }

    /// Something that does not change, in words.
    pub(super) fn info(&mut self, family: Family, words: &impl EncodeLabelSet) -> fmt::Result {
        self.open(family, MetricType::Info)?.encode_info(words)
    }
}
