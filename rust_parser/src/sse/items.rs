//! The items of a response's output, as the provider wrote them: what a model reasoned can only be given back whole.

use std::collections::BTreeMap;

/// How many bytes of items are kept.
const MOST: usize = 1024 * 1024;

/// The items that are complete, by their places in the output; none of them once there is more than is kept.
#[derive(Debug, Default)]
pub(super) struct Items {
    items: BTreeMap<u64, String>,
    size: usize,
}

impl Items {
    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }

    pub(super) fn in_order(&self) -> impl Iterator<Item = &str> {
        self.items.values().map(String::as_str)
    }

    /// The item at `index`, or behind all others, is complete.
    pub(super) fn keep(&mut self, index: Option<u64>, json: &str) {
        self.size = self.size.saturating_add(json.len());
        if self.size > MOST {
            self.items.clear();
            return;
        }
        let behind = || self.items.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
        let index = index.unwrap_or_else(behind);
        self.items.insert(index, json.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stand_in_the_order_of_the_output() {
        let mut items = Items::default();
        assert!(items.is_empty());
        for (index, json) in [(Some(2), "c"), (Some(0), "a"), (None, "d"), (Some(1), "b")] {
            items.keep(index, json);
        }
        assert_eq!(items.in_order().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }

    #[test]
    fn either_all_items_are_kept_or_none() {
        let mut items = Items::default();
        let half = "x".repeat(MOST / 2);
        for (count, kept) in [(1, 1), (2, 2), (3, 0), (4, 0)] {
            items.keep(None, &half);
            assert_eq!(items.in_order().count(), kept, "{count}");
            assert!(!items.is_empty());
        }
    }
}
