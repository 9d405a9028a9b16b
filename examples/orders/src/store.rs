//! The orders themselves: in memory, bounded, and watched.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast;

/// How many orders there can be. Whoever may write could fill the memory otherwise.
pub const CAPACITY: usize = 1_000;

/// How far a watcher may fall behind, in orders, before its stream is ended.
const BACKLOG: usize = 64;

/// An order that was placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Order {
    /// Counts from 1.
    pub id: u64,
    /// What is ordered.
    pub item: String,
    /// How many of it.
    pub quantity: u32,
    /// The subject, or else the client, of the token that it was placed with.
    pub placed_by: String,
}

/// An order that makes sense: what both protocols have to come up with before they can place one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    item: String,
    quantity: u32,
}

/// An order that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrder {
    /// The item is missing, too long, or not text.
    #[error("item has to be 1 to 100 printable characters")]
    Item,
    /// None, or too many.
    #[error("quantity has to be 1 to 1000")]
    Quantity,
}

/// There are [`CAPACITY`] orders already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store is full")]
pub struct StoreFull;

impl Draft {
    /// Checks what a caller wants to order.
    ///
    /// # Errors
    ///
    /// [`InvalidOrder`] with the first field that makes no sense.
    pub fn new(item: &str, quantity: u32) -> Result<Self, InvalidOrder> {
        let item = item.trim();
        let is_text = !item.chars().any(char::is_control);
        if !is_text || !(1..=100).contains(&item.chars().count()) {
            return Err(InvalidOrder::Item);
        }
        if !(1..=1_000).contains(&quantity) {
            return Err(InvalidOrder::Quantity);
        }
        Ok(Self {
            item: item.to_owned(),
            quantity,
        })
    }
}

/// All orders. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Store(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    orders: BTreeMap<u64, Order>,
    /// `None` once the store is closed.
    placed: Option<broadcast::Sender<Order>>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            orders: BTreeMap::new(),
            placed: Some(broadcast::Sender::new(BACKLOG)),
        }
    }
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All orders, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Order> {
        self.inner().orders.values().cloned().collect()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.inner().orders.len()
    }

    /// One order.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<Order> {
        self.inner().orders.get(&id).cloned()
    }

    /// Places an order.
    ///
    /// # Errors
    ///
    /// [`StoreFull`] when there is no room for it.
    pub fn create(&self, draft: Draft, placed_by: &str) -> Result<Order, StoreFull> {
        let Draft { item, quantity } = draft;
        let mut inner = self.inner();
        if inner.orders.len() >= CAPACITY {
            return Err(StoreFull);
        }
        let id = inner.orders.last_key_value().map_or(1, |(id, _)| id + 1);
        let order = Order {
            id,
            item,
            quantity,
            placed_by: placed_by.to_owned(),
        };
        inner.orders.insert(id, order.clone());
        if let Some(placed) = &inner.placed {
            // Nobody may be watching.
            let _ = placed.send(order.clone());
        }
        Ok(order)
    }

    /// The orders that are placed from now on; `None` once the store is closed.
    #[must_use]
    pub fn watch(&self) -> Option<broadcast::Receiver<Order>> {
        let inner = self.inner();
        inner.placed.as_ref().map(broadcast::Sender::subscribe)
    }

    /// Ends all watching, so that open streams do not keep a server from shutting down.
    pub fn close(&self) {
        self.inner().placed = None;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("tea", 1, None)]
    #[case("  tea  ", 1_000, None)]
    #[case("ü", 1, None)]
    #[case("", 1, Some(InvalidOrder::Item))]
    #[case("   ", 1, Some(InvalidOrder::Item))]
    #[case("tea\r\nSet-Cookie: a=b", 1, Some(InvalidOrder::Item))]
    #[case(&"x".repeat(101), 1, Some(InvalidOrder::Item))]
    #[case("tea", 0, Some(InvalidOrder::Quantity))]
    #[case("tea", 1_001, Some(InvalidOrder::Quantity))]
    fn an_order_has_to_make_sense(
        #[case] item: &str,
        #[case] quantity: u32,
        #[case] fault: Option<InvalidOrder>,
    ) {
        assert_eq!(Draft::new(item, quantity).err(), fault);
    }

    #[test]
    fn a_full_store_takes_no_more() {
        let store = Store::new();
        let draft = Draft::new("tea", 1).unwrap();
        for _ in 0..CAPACITY {
            store.create(draft.clone(), "alice").unwrap();
        }
        assert_eq!(store.create(draft, "alice"), Err(StoreFull));
        assert_eq!(store.count(), CAPACITY);
    }

    #[tokio::test]
    async fn closing_ends_all_watching() {
        let store = Store::new();
        let mut watcher = store.watch().unwrap();
        let draft = Draft::new("tea", 1).unwrap();
        let order = store.create(draft, "alice").unwrap();
        store.close();
        assert_eq!(watcher.recv().await, Ok(order));
        assert_eq!(
            watcher.recv().await,
            Err(broadcast::error::RecvError::Closed)
        );
        assert!(store.watch().is_none());
    }
}
